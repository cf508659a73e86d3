// CLI, STI, PUSHF, POPF and I/O permission, over every mode.
#include "cpu/system_test_core.h"

namespace vitrine::cpu {
namespace {

using x86::Vector;

class FlagsInstructions : public SystemTest {
 protected:
  void set_iopl(unsigned iopl) { state().eflags = (state().eflags & ~x86::kIopl) | iopl << x86::kIoplShift; }
  uint32_t popf_with(uint32_t image, uint8_t size = 4) {
    put32(state().segments[x86::kSs].base + state().gpr[x86::kEsp], image);
    EXPECT_TRUE(popf(core(), instruction(size)));
    return state().eflags;
  }
};

constexpr uint32_t kAll = x86::kFlagsDefined;

TEST_F(FlagsInstructions, CliAndStiByIopl) {
  for (unsigned iopl = 0; iopl < 4; ++iopl) {
    enter_protected(3);
    set_iopl(iopl);
    if (iopl < 3) {
      expect_fault(Vector::GeneralProtection, 0, [&] { return cli(core(), instruction()); });
      expect_fault(Vector::GeneralProtection, 0, [&] { return sti(core(), instruction()); });
      continue;
    }
    ASSERT_TRUE(sti(core(), instruction()));
    EXPECT_NE(state().eflags & x86::kIf, 0u);
    EXPECT_TRUE(state().interrupt_shadow);
    state().interrupt_shadow = false;
    ASSERT_TRUE(sti(core(), instruction()));
    EXPECT_FALSE(state().interrupt_shadow);  // they were on already
    ASSERT_TRUE(cli(core(), instruction()));
    EXPECT_EQ(state().eflags & x86::kIf, 0u);
  }
}

TEST_F(FlagsInstructions, Pvi) {
  enter_protected(3);
  state().cr4 = x86::kCr4Pvi;
  ASSERT_TRUE(sti(core(), instruction()));
  EXPECT_EQ(state().eflags, x86::kVif | 2);
  ASSERT_TRUE(cli(core(), instruction()));
  EXPECT_EQ(state().eflags, 2u);
  state().eflags |= x86::kVip;
  expect_fault(Vector::GeneralProtection, 0, [&] { return sti(core(), instruction()); });
}

TEST_F(FlagsInstructions, Vme) {
  enter_v86(0);
  expect_fault(Vector::GeneralProtection, 0, [&] { return cli(core(), instruction()); });
  expect_fault(Vector::GeneralProtection, 0, [&] { return pushf(core(), instruction(2)); });
  state().cr4 = x86::kCr4Vme;
  ASSERT_TRUE(sti(core(), instruction()));
  EXPECT_NE(state().eflags & x86::kVif, 0u);
  expect_fault(Vector::GeneralProtection, 0, [&] { return pushf(core(), instruction(4)); });
  ASSERT_TRUE(pushf(core(), instruction(2)));
  EXPECT_EQ(get16(0x300fe), x86::kIopl | x86::kIf | 2);
  EXPECT_EQ(popf_with(x86::kCf, 2) & (x86::kVif | x86::kCf | x86::kIf), x86::kCf | x86::kIf);
  put16(0x30100, x86::kTf);
  expect_fault(Vector::GeneralProtection, 0, [&] { return popf(core(), instruction(2)); });
}

TEST_F(FlagsInstructions, PopfByPrivilege) {
  constexpr uint32_t kNever = x86::kVm | x86::kRf | x86::kVif | x86::kVip;
  EXPECT_EQ(popf_with(kAll), kAll & ~kNever);  // real mode
  enter_protected(0);
  EXPECT_EQ(popf_with(kAll), kAll & ~kNever);
  enter_protected(3);
  EXPECT_EQ(popf_with(kAll), kAll & ~(kNever | x86::kIopl | x86::kIf));
  enter_protected(3);
  set_iopl(3);
  EXPECT_EQ(popf_with(2), x86::kIopl | 2);
  EXPECT_EQ(popf_with(kAll), kAll & ~kNever);
  enter_protected(0);
  state().eflags = x86::kAc | x86::kRf | 2;
  EXPECT_EQ(popf_with(0, 2), x86::kAc | 2);  // a word leaves the upper half, but for RF
  enter_v86(3);
  EXPECT_EQ(popf_with(2) & (x86::kIopl | x86::kVm | x86::kIf), x86::kIopl | x86::kVm);
}

TEST_F(FlagsInstructions, PushfHidesVmAndRf) {
  enter_v86(3);
  state().eflags |= x86::kRf;
  ASSERT_TRUE(pushf(core(), instruction(4)));
  EXPECT_EQ(get32(0x300fc), x86::kIopl | x86::kIf | 2);
}

TEST_F(FlagsInstructions, IoPermission) {
  EXPECT_TRUE(io_permitted(core(), 0x60, 1));  // real mode
  enter_protected(3);
  constexpr uint32_t kMap = 0x88;
  for (unsigned n = 0; n < 64; ++n) put(kTss + kMap + n, 0xff, 1);
  put(kTss + kMap + 0x60 / 8, 0xfe, 1);  // 60h
  put(kTss + kMap + 0x1f8 / 8, 0x7f, 1);
  put(kTss + kMap + 0x200 / 8, 0x00, 1);
  EXPECT_TRUE(io_permitted(core(), 0x60, 1));
  expect_fault(Vector::GeneralProtection, 0, [&] { return io_permitted(core(), 0x60, 2); });
  expect_fault(Vector::GeneralProtection, 0, [&] { return io_permitted(core(), 0x61, 1); });
  // Across a byte of the map, and up to its end.
  state().tr.limit = kMap + 0x40;
  EXPECT_FALSE(io_permitted(core(), 0x1fd, 4));
  put(kTss + kMap + 0x1f8 / 8, 0x1f, 1);
  EXPECT_TRUE(io_permitted(core(), 0x1fd, 4));
  EXPECT_FALSE(io_permitted(core(), 0x200, 1));
  state().tr.limit = 0xfff;
  set_iopl(3);
  EXPECT_TRUE(io_permitted(core(), 0x61, 1));
  enter_v86(3);
  EXPECT_FALSE(io_permitted(core(), 0x61, 1));  // IOPL does not count
  EXPECT_TRUE(io_permitted(core(), 0x60, 1));
  enter_protected(3);
  state().tr = segment_from(x86::Selector(kTss2Selector), tss(kTss2, x86::SystemType::Tss16Busy));
  EXPECT_FALSE(io_permitted(core(), 0x60, 1));
}

}  // namespace
}  // namespace vitrine::cpu
