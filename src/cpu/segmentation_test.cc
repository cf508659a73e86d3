// Loads of segment registers and the instructions on selectors and descriptor tables.
#include "cpu/system_test_core.h"

namespace vitrine::cpu {
namespace {

using x86::Vector;

class Segmentation : public SystemTest {
 protected:
  void install(uint32_t attributes, uint32_t limit = 0xffff, uint32_t base = 0x12340) {
    set_descriptor(kFree, x86::make_segment(base, limit, attributes));
  }
  bool load_ds(uint16_t selector) { return load_segment(core(), x86::kDs, selector); }
  bool load_ss(uint16_t selector) { return load_segment(core(), x86::kSs, selector); }
};

TEST_F(Segmentation, RealModeKeepsLimitAndRights) {
  segment(x86::kDs).limit = 0xffffffff;
  const uint32_t attributes = segment(x86::kDs).attributes;
  ASSERT_TRUE(load_ds(0x1234));
  EXPECT_EQ(segment(x86::kDs).base, 0x12340u);
  EXPECT_EQ(segment(x86::kDs).limit, 0xffffffffu);
  EXPECT_EQ(segment(x86::kDs).attributes, attributes);
}

TEST_F(Segmentation, LoadsHiddenPartAndSetsAccessed) {
  enter_protected(0);
  install(x86::kDataSegment | x86::kAttributeGranularity, 0x5fff);
  ASSERT_TRUE(load_ds(kFree));
  EXPECT_EQ(segment(x86::kDs).base, 0x12340u);
  EXPECT_EQ(segment(x86::kDs).limit, 0x5fffu);
  EXPECT_NE(segment(x86::kDs).attributes & x86::kAttributeAccessed, 0u);
  EXPECT_NE(descriptor(kFree).high & x86::kAttributeAccessed, 0u);
}

TEST_F(Segmentation, DataSegmentChecks) {
  enter_protected(3);
  ASSERT_TRUE(load_ds(3));
  EXPECT_EQ(segment(x86::kDs).attributes, 0u);
  expect_fault(Vector::GeneralProtection, kData0, [&] { return load_ds(kData0); });
  expect_fault(Vector::GeneralProtection, 0x100, [&] { return load_ds(0x100); });  // beyond the GDT
  expect_fault(Vector::GeneralProtection, 0xc, [&] { return load_ds(0xf); });      // there is no LDT
  expect_fault(Vector::GeneralProtection, kTssSelector, [&] { return load_ds(kTssSelector | 3); });
  ASSERT_TRUE(load_ds(kConforming | 3));  // readable conforming code: any privilege
  install(x86::kCodeSegment & ~x86::kAttributeReadable);
  expect_fault(Vector::GeneralProtection, kFree, [&] { return load_ds(kFree); });
  install((x86::kDataSegment | x86::kAttributeDpl) & ~x86::kAttributePresent);
  expect_fault(Vector::SegmentNotPresent, kFree, [&] { return load_ds(kFree | 3); });
  install((x86::kDataSegment) & ~x86::kAttributePresent);
  expect_fault(Vector::GeneralProtection, kFree, [&] { return load_ds(kFree); });  // rights before presence
}

TEST_F(Segmentation, RplCountsForData) {
  enter_protected(0);
  expect_fault(Vector::GeneralProtection, kData0, [&] { return load_ds(kData0 | 3); });
  EXPECT_TRUE(load_ds(kData3));
}

TEST_F(Segmentation, StackSegmentChecks) {
  enter_protected(0);
  expect_fault(Vector::GeneralProtection, 0, [&] { return load_ss(0); });
  expect_fault(Vector::GeneralProtection, kData0, [&] { return load_ss(kData0 | 3); });
  expect_fault(Vector::GeneralProtection, kData3 & ~3u, [&] { return load_ss(kData3); });
  expect_fault(Vector::GeneralProtection, kCode0, [&] { return load_ss(kCode0); });
  install(x86::kDataSegment & ~x86::kAttributeWritable);
  expect_fault(Vector::GeneralProtection, kFree, [&] { return load_ss(kFree); });
  install(x86::kDataSegment & ~x86::kAttributePresent);
  expect_fault(Vector::StackFault, kFree, [&] { return load_ss(kFree); });
  EXPECT_TRUE(load_ss(kData0));
}

TEST_F(Segmentation, OnlyMovAndPopOfSsCastAShadow) {
  enter_protected(0);
  state().gpr[x86::kEax] = kData0;
  ASSERT_TRUE(mov_to_segment(core(), register_instruction(x86::kDs, x86::kEax)));
  EXPECT_FALSE(state().interrupt_shadow);
  ASSERT_TRUE(mov_to_segment(core(), register_instruction(x86::kSs, x86::kEax)));
  EXPECT_TRUE(state().interrupt_shadow);
  expect_fault(Vector::InvalidOpcode, 0,
               [&] { return mov_to_segment(core(), register_instruction(x86::kCs, x86::kEax)); });
}

TEST_F(Segmentation, PopKeepsEspWhenTheLoadFails) {
  enter_protected(3);
  put32(kStack3, kData0);
  expect_fault(Vector::GeneralProtection, kData0,
               [&] { return pop_segment(core(), register_instruction(x86::kDs, 0)); });
  put32(kStack3, 0xffff0000 | kData3);
  ASSERT_TRUE(pop_segment(core(), register_instruction(x86::kFs, 0)));
  EXPECT_EQ(state().gpr[x86::kEsp], kStack3 + 4);
}

TEST_F(Segmentation, FarPointerLoad) {
  enter_protected(0);
  put32(0x10000, 0xdeadbeef);
  put16(0x10004, kData3);
  Instruction i = memory_instruction(0x10000);
  i.operation = Operation::Lgs;
  i.reg = x86::kEdi;
  ASSERT_TRUE(load_far_pointer(core(), i));
  EXPECT_EQ(state().gpr[x86::kEdi], 0xdeadbeefu);
  EXPECT_EQ(segment(x86::kGs).selector, kData3);
}

TEST_F(Segmentation, LarAndLsl) {
  enter_protected(0);
  const auto ask = [&](bool (*function)(Core&, const Instruction&), uint16_t selector) {
    state().gpr[x86::kEax] = selector;
    state().gpr[x86::kEcx] = 0x55555555;
    EXPECT_TRUE(function(core(), register_instruction(x86::kEcx, x86::kEax)));
    return (state().eflags & x86::kZf) != 0;
  };
  EXPECT_TRUE(ask(&lar, kCode0));
  EXPECT_EQ(state().gpr[x86::kEcx], 0x00c09b00u);
  EXPECT_TRUE(ask(&lsl, kCode0));
  EXPECT_EQ(state().gpr[x86::kEcx], 0xffffffffu);
  EXPECT_TRUE(ask(&lsl, kTssSelector));
  EXPECT_EQ(state().gpr[x86::kEcx], 0xfffu);
  EXPECT_FALSE(ask(&lar, 0));
  EXPECT_EQ(state().gpr[x86::kEcx], 0x55555555u);
  EXPECT_FALSE(ask(&lar, kData0 | 3));      // RPL 3 does not see DPL 0
  EXPECT_TRUE(ask(&lar, kConforming | 3));  // but conforming code
  EXPECT_FALSE(ask(&lsl, 0x200));
  for (unsigned type = 0; type < 16; ++type) {
    set_descriptor(kFree, tss(0, static_cast<x86::SystemType>(type)));
    const bool for_lsl = type == 1 || type == 2 || type == 3 || type == 9 || type == 11;
    EXPECT_EQ(ask(&lsl, kFree), for_lsl) << type;
    EXPECT_EQ(ask(&lar, kFree), for_lsl || type == 4 || type == 5 || type == 12) << type;
  }
  core().state.cr0 &= ~x86::kCr0Pe;
  expect_fault(Vector::InvalidOpcode, 0, [&] { return lar(core(), register_instruction(0, 1)); });
}

TEST_F(Segmentation, VerrAndVerw) {
  enter_protected(3);
  const auto ask = [&](bool (*function)(Core&, const Instruction&), uint16_t selector) {
    state().gpr[x86::kEax] = selector;
    EXPECT_TRUE(function(core(), register_instruction(0, x86::kEax)));
    return (state().eflags & x86::kZf) != 0;
  };
  EXPECT_TRUE(ask(&verr, kCode3));
  EXPECT_FALSE(ask(&verw, kCode3));
  EXPECT_TRUE(ask(&verw, kData3));
  EXPECT_FALSE(ask(&verr, kData0));
  EXPECT_TRUE(ask(&verr, kConforming));
  EXPECT_FALSE(ask(&verr, kTssSelector));
}

TEST_F(Segmentation, Arpl) {
  enter_protected(0);
  state().gpr[x86::kEax] = 0x10;
  state().gpr[x86::kEcx] = 0x3;
  ASSERT_TRUE(arpl(core(), register_instruction(x86::kEcx, x86::kEax)));
  EXPECT_EQ(state().gpr[x86::kEax], 0x13u);
  EXPECT_NE(state().eflags & x86::kZf, 0u);
  ASSERT_TRUE(arpl(core(), register_instruction(x86::kEcx, x86::kEax)));
  EXPECT_EQ(state().eflags & x86::kZf, 0u);
}

TEST_F(Segmentation, TableRegisters) {
  enter_protected(0);
  put16(0x10000, 0x1ff);
  put32(0x10002, 0x12345678);
  ASSERT_TRUE(lidt(core(), memory_instruction(0x10000, 2)));
  EXPECT_EQ(state().idtr, (DescriptorTableRegister{0x345678, 0x1ff}));
  ASSERT_TRUE(lidt(core(), memory_instruction(0x10000, 4)));
  EXPECT_EQ(state().idtr.base, 0x12345678u);
  ASSERT_TRUE(sidt(core(), memory_instruction(0x10010, 2)));
  EXPECT_EQ(get32(0x10012), 0x12345678u);
  enter_protected(3);
  expect_fault(Vector::GeneralProtection, 0, [&] { return lgdt(core(), memory_instruction(0x10000)); });
  EXPECT_TRUE(sgdt(core(), memory_instruction(0x10000)));
}

TEST_F(Segmentation, LdtAndTaskRegister) {
  enter_protected(0);
  const auto with = [&](bool (*function)(Core&, const Instruction&), uint16_t selector) {
    put16(0x10000, selector);
    return function(core(), memory_instruction(0x10000, 2));
  };
  ASSERT_TRUE(with(&lldt, kLdtSelector));
  EXPECT_EQ(state().ldtr.base, kLdt);
  expect_fault(Vector::GeneralProtection, kData0, [&] { return with(&lldt, kData0); });
  expect_fault(Vector::GeneralProtection, 0xc, [&] { return with(&lldt, 0xc); });
  ASSERT_TRUE(with(&lldt, 0));
  EXPECT_FALSE(x86::is_present(state().ldtr.attributes));
  expect_fault(Vector::GeneralProtection, kTssSelector, [&] { return with(&ltr, kTssSelector); });  // busy
  expect_fault(Vector::GeneralProtection, 0, [&] { return with(&ltr, 0); });
  ASSERT_TRUE(with(&ltr, kTss2Selector));
  EXPECT_EQ(state().tr.base, kTss2);
  EXPECT_TRUE(x86::is_busy_tss(descriptor(kTss2Selector).attributes()));
  set_descriptor(kFree, x86::make_segment(0, 0x67, 0x0900));
  expect_fault(Vector::SegmentNotPresent, kFree, [&] { return with(&ltr, kFree); });
}

}  // namespace
}  // namespace vitrine::cpu
