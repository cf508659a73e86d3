// Far JMP, CALL, RET and IRET.
#include "cpu/system_test_core.h"

namespace vitrine::cpu {
namespace {

using x86::Selector;
using x86::SystemType;
using x86::Vector;

class FarTransfer : public SystemTest {
 protected:
  bool jump(uint16_t selector, uint32_t offset = 0x5000) { return far_jump(core(), {selector, offset}); }
  bool call(uint16_t selector, uint32_t offset = 0x5000, unsigned size = 4) {
    return far_call(core(), {selector, offset}, size);
  }
  void put_stack(std::initializer_list<uint32_t> values) {
    uint32_t address = state().gpr[x86::kEsp];
    for (const uint32_t value : values) {
      put32(address, value);
      address += 4;
    }
  }
};

TEST_F(FarTransfer, RealMode) {
  ASSERT_TRUE(jump(0xf000, 0xe05b));
  EXPECT_EQ(segment(x86::kCs).base, 0xf0000u);
  EXPECT_EQ(state().eip, 0xe05bu);
  state().gpr[x86::kEsp] = 0x8000;
  ASSERT_TRUE(call(0x1000, 0x10, 2));
  EXPECT_EQ(get32(0x7ffc), 0xf000e05bu);
  ASSERT_TRUE(far_return(core(), 2, 6));
  EXPECT_EQ(state().eip, 0xe05bu);
  EXPECT_EQ(state().gpr[x86::kEsp], 0x8006u);
  expect_fault(Vector::GeneralProtection, 0, [&] { return jump(0, 0x10000); });
}

TEST_F(FarTransfer, DirectCodeChecks) {
  enter_protected(3);
  expect_fault(Vector::GeneralProtection, 0, [&] { return jump(3); });
  expect_fault(Vector::GeneralProtection, kCode0, [&] { return jump(kCode0); });
  expect_fault(Vector::GeneralProtection, kData3 & ~3, [&] { return jump(kData3); });
  expect_fault(Vector::GeneralProtection, 0x7f8, [&] { return jump(0x7f8); });
  ASSERT_TRUE(jump(kCode3 & ~3));
  EXPECT_EQ(segment(x86::kCs).selector, kCode3);  // RPL becomes CPL
  ASSERT_TRUE(jump(kConforming));
  EXPECT_EQ(state().cpl, 3);
  EXPECT_EQ(segment(x86::kCs).selector, kConforming | 3);
  enter_protected(0);
  expect_fault(Vector::GeneralProtection, kCode3 & ~3, [&] { return jump(kCode3); });
  set_descriptor(kFree, x86::make_segment(0, 0xfff, x86::kCodeSegment));
  expect_fault(Vector::GeneralProtection, 0, [&] { return jump(kFree, 0x1000); });
  set_descriptor(kFree, x86::make_segment(0, 0xfff, x86::kCodeSegment & ~x86::kAttributePresent));
  expect_fault(Vector::SegmentNotPresent, kFree, [&] { return jump(kFree, 0); });
}

TEST_F(FarTransfer, SamePrivilegeCallAndReturn) {
  enter_protected(0);
  ASSERT_TRUE(call(kCode0));
  EXPECT_EQ(get32(kStack0 - 4), kCode0);
  EXPECT_EQ(get32(kStack0 - 8), 0x1234u);
  EXPECT_EQ(state().gpr[x86::kEsp], kStack0 - 8);
  ASSERT_TRUE(far_return(core(), 4, 0));
  EXPECT_EQ(state().eip, 0x1234u);
  EXPECT_EQ(state().gpr[x86::kEsp], kStack0);
}

TEST_F(FarTransfer, CallGateToInnerLevelCopiesParameters) {
  enter_protected(3);
  set_descriptor(kFree, x86::make_gate(SystemType::CallGate32, Selector(kCode0), 0x7000, 3, 2));
  put_stack({0x11111111, 0x22222222});
  ASSERT_TRUE(call(kFree | 3));
  EXPECT_EQ(state().cpl, 0);
  EXPECT_EQ(state().eip, 0x7000u);
  EXPECT_EQ(segment(x86::kCs).selector, kCode0);
  EXPECT_EQ(segment(x86::kSs).selector, kData0);
  EXPECT_EQ(state().gpr[x86::kEsp], kStack0 - 24);
  const uint32_t expected[] = {0x1234, kCode3, 0x11111111, 0x22222222, kStack3, kData3};
  for (unsigned n = 0; n < 6; ++n) EXPECT_EQ(get32(kStack0 - 24 + n * 4), expected[n]) << n;

  segment(x86::kFs) = segment_from(Selector(kData0), descriptor(kData0));
  ASSERT_TRUE(far_return(core(), 4, 8));
  EXPECT_EQ(state().cpl, 3);
  EXPECT_EQ(state().gpr[x86::kEsp], kStack3 + 8);
  EXPECT_EQ(segment(x86::kSs).selector, kData3);
  EXPECT_EQ(segment(x86::kFs), SegmentRegister{});  // taken away
  EXPECT_EQ(segment(x86::kDs).selector, kData3);
}

TEST_F(FarTransfer, CallGate16PushesWords) {
  enter_protected(3);
  set_descriptor(kFree, x86::make_gate(SystemType::CallGate16, Selector(kCode0), 0xffff7000, 3, 1));
  put_stack({0x3333});
  ASSERT_TRUE(call(kFree));
  EXPECT_EQ(state().eip, 0x7000u);
  EXPECT_EQ(state().gpr[x86::kEsp], kStack0 - 10);
  EXPECT_EQ(get16(kStack0 - 10), 0x1234u);
  EXPECT_EQ(get16(kStack0 - 6), 0x3333u);
}

TEST_F(FarTransfer, CallGateChecks) {
  enter_protected(3);
  set_descriptor(kFree, x86::make_gate(SystemType::CallGate32, Selector(kCode0), 0x7000, 2));
  expect_fault(Vector::GeneralProtection, kFree, [&] { return call(kFree); });
  set_descriptor(kFree, x86::make_gate(SystemType::CallGate32, Selector(kCode0), 0x7000, 3));
  expect_fault(Vector::GeneralProtection, kCode0, [&] { return jump(kFree); });  // a jump cannot go inward
  set_descriptor(kFree, x86::make_gate(SystemType::CallGate32, Selector(0), 0x7000, 3));
  expect_fault(Vector::GeneralProtection, 0, [&] { return call(kFree); });
  set_descriptor(kFree, x86::make_gate(SystemType::CallGate32, Selector(kData0), 0x7000, 3));
  expect_fault(Vector::GeneralProtection, kData0, [&] { return call(kFree); });
  x86::Descriptor gate = x86::make_gate(SystemType::CallGate32, Selector(kCode0), 0x7000, 3);
  gate.high &= ~x86::kAttributePresent;
  set_descriptor(kFree, gate);
  expect_fault(Vector::SegmentNotPresent, kFree, [&] { return call(kFree); });
}

TEST_F(FarTransfer, InnerStackChecks) {
  enter_protected(3);
  set_descriptor(kFree, x86::make_gate(SystemType::CallGate32, Selector(kCode0), 0x7000, 3));
  const auto go = [&] { return call(kFree); };
  put16(kTss + x86::tss32::kSs0, 0);
  expect_fault(Vector::InvalidTss, 0, go);
  put16(kTss + x86::tss32::kSs0, kData3);
  expect_fault(Vector::InvalidTss, kData3 & ~3, go);
  put16(kTss + x86::tss32::kSs0, kCode0);
  expect_fault(Vector::InvalidTss, kCode0, go);
  set_descriptor(kFree2, x86::make_segment(0, 0xffff, x86::kDataSegment & ~x86::kAttributePresent));
  put16(kTss + x86::tss32::kSs0, kFree2);
  expect_fault(Vector::StackFault, kFree2, go);
  set_descriptor(kFree2, x86::make_segment(0, 0x1f, x86::kDataSegment | x86::kAttributeBig));
  put32(kTss + x86::tss32::kEsp0, 0x28);  // no room
  expect_fault(Vector::StackFault, kFree2, go);
  state().tr.limit = 8;
  expect_fault(Vector::InvalidTss, kTssSelector, go);
}

TEST_F(FarTransfer, ReturnChecks) {
  enter_protected(3);
  put_stack({0x100, kCode0});
  expect_fault(Vector::GeneralProtection, kCode0, [&] { return far_return(core(), 4, 0); });  // inward
  enter_protected(0);
  put_stack({0x100, kCode3, 0x8000, kData0});
  expect_fault(Vector::GeneralProtection, kData0, [&] { return far_return(core(), 4, 0); });
  put_stack({0x100, kCode3, 0x8000, 0});
  expect_fault(Vector::GeneralProtection, 0, [&] { return far_return(core(), 4, 0); });
  put_stack({0x100, 0});
  expect_fault(Vector::GeneralProtection, 0, [&] { return far_return(core(), 4, 0); });
}

TEST_F(FarTransfer, IretToUserLoadsOnlySpOfA16BitStack) {
  enter_protected(0);
  set_descriptor(kFree, x86::make_segment(0x40000, 0xffff, x86::kDataSegment | x86::kAttributeDpl));
  state().gpr[x86::kEsp] = 0x00120000;
  put_stack({0x100, kCode3, 0x202, 0x55558000, kFree | 3});
  ASSERT_TRUE(interrupt_return(core(), 4));
  EXPECT_EQ(state().gpr[x86::kEsp], 0x00128000u);
  EXPECT_EQ(state().cpl, 3);
  EXPECT_EQ(state().eflags, 0x202u);
}

TEST_F(FarTransfer, IretFlagsByPrivilege) {
  enter_protected(3);
  constexpr uint32_t kAll = x86::kFlagsDefined & ~(x86::kVm | x86::kNt);
  put_stack({0x100, kCode3, kAll | x86::kVm});
  ASSERT_TRUE(interrupt_return(core(), 4));
  EXPECT_EQ(state().eflags, kAll & ~(x86::kIf | x86::kIopl | x86::kVif | x86::kVip));
  enter_protected(0);
  put_stack({0x100, kCode0, kAll});
  ASSERT_TRUE(interrupt_return(core(), 4));
  EXPECT_EQ(state().eflags, kAll);
}

TEST_F(FarTransfer, IretToVirtual8086) {
  enter_protected(0);
  put_stack({0x200, 0x1000, x86::kVm | 0x3202, 0x400, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004});
  ASSERT_TRUE(interrupt_return(core(), 4));
  EXPECT_TRUE(core().v86_mode());
  EXPECT_EQ(state().cpl, 3);
  EXPECT_EQ(segment(x86::kCs), segment_for_v86(0x1000));
  EXPECT_EQ(segment(x86::kSs), segment_for_v86(0x2000));
  EXPECT_EQ(segment(x86::kEs), segment_for_v86(0x2001));
  EXPECT_EQ(segment(x86::kGs), segment_for_v86(0x2004));
  EXPECT_EQ(state().gpr[x86::kEsp], 0x400u);
  EXPECT_EQ(state().eflags, x86::kVm | 0x3202);
}

TEST_F(FarTransfer, IretWithinVirtual8086) {
  enter_v86(0);
  expect_fault(Vector::GeneralProtection, 0, [&] { return interrupt_return(core(), 2); });
  state().cr4 = x86::kCr4Vme;
  put16(0x30100, 0x10);
  put16(0x30102, 0x1234);
  put16(0x30104, x86::kIf | x86::kCf);
  expect_fault(Vector::GeneralProtection, 0, [&] { return interrupt_return(core(), 4); });
  state().eflags |= x86::kVip;
  expect_fault(Vector::GeneralProtection, 0, [&] { return interrupt_return(core(), 2); });
  state().eflags &= ~(x86::kVip | x86::kIf);
  ASSERT_TRUE(interrupt_return(core(), 2));
  EXPECT_EQ(state().eflags, x86::kVm | x86::kVif | x86::kCf | 2);
  EXPECT_EQ(segment(x86::kCs), segment_for_v86(0x1234));
}

TEST_F(FarTransfer, IretUnblocksNmi) {
  enter_protected(0);
  state().nmi_blocked = true;
  put_stack({0x100, kCode0, 2});
  ASSERT_TRUE(interrupt_return(core(), 4));
  EXPECT_FALSE(state().nmi_blocked);
}

}  // namespace
}  // namespace vitrine::cpu
