// Hardware task switches by all initiators.
#include "cpu/system_test_core.h"
#include "x86/debug_registers.h"
#include "x86/page_entries.h"

namespace vitrine::cpu {
namespace {

using x86::Selector;
using x86::SystemType;
using x86::Vector;
namespace tss16 = x86::tss16;
namespace tss32 = x86::tss32;

class TaskSwitch : public SystemTest {
 protected:
  void SetUp() override {
    enter_protected(0);
    fill_task();
  }
  // A task at CPL 3 in the second TSS.
  void fill_task() {
    put32(kTss2 + tss32::kEip, 0x9000);
    put32(kTss2 + tss32::kEflags, 0x202);
    for (unsigned n = 0; n < 8; ++n) put32(kTss2 + tss32::kGpr + n * 4, 0x1000 + n);
    for (unsigned n = 0; n < 6; ++n) put16(kTss2 + tss32::kSegments + n * 4, n == x86::kCs ? kCode3 : kData3);
  }
  bool jump(uint16_t selector = kTss2Selector) { return far_jump(core(), {selector, 0}); }
  bool call(uint16_t selector = kTss2Selector) { return far_call(core(), {selector, 0}, 4); }
  bool busy(uint16_t selector) { return x86::is_busy_tss(descriptor(selector).attributes()); }
};

TEST_F(TaskSwitch, JumpMovesEverything) {
  state().gpr[x86::kEbx] = 0xbbbbbbbb;
  state().dr7 = 0x455;
  ASSERT_TRUE(jump());
  EXPECT_EQ(state().tr.selector, kTss2Selector);
  EXPECT_EQ(state().eip, 0x9000u);
  EXPECT_EQ(state().eflags, 0x202u);
  EXPECT_EQ(state().cpl, 3);
  EXPECT_EQ(state().gpr[x86::kEdi], 0x1007u);
  EXPECT_EQ(segment(x86::kCs).selector, kCode3);
  EXPECT_EQ(segment(x86::kGs).limit, 0xffffffffu);
  EXPECT_NE(state().cr0 & x86::kCr0Ts, 0u);
  EXPECT_EQ(state().dr7, 0x400u);
  EXPECT_TRUE(busy(kTss2Selector));
  EXPECT_FALSE(busy(kTssSelector));
  EXPECT_EQ(get32(kTss + tss32::kEip), 0x1234u);
  EXPECT_EQ(get32(kTss + tss32::kGpr + 4 * x86::kEbx), 0xbbbbbbbbu);
  EXPECT_EQ(get16(kTss + tss32::kSegments + 4 * x86::kCs), kCode0);
  EXPECT_EQ(get16(kTss2 + tss32::kBacklink), 0u);
}

TEST_F(TaskSwitch, CallNestsAndIretReturns) {
  put16(kTss2 + tss32::kSegments + 4 * x86::kCs, kCode0);
  for (const unsigned n : {0, 2, 3, 4, 5}) put16(kTss2 + tss32::kSegments + n * 4, kData0);
  ASSERT_TRUE(call());
  EXPECT_EQ(state().eflags, x86::kNt | 0x202);
  EXPECT_EQ(get16(kTss2 + tss32::kBacklink), kTssSelector);
  EXPECT_TRUE(busy(kTssSelector));
  EXPECT_TRUE(busy(kTss2Selector));
  expect_fault(Vector::GeneralProtection, kTssSelector, [&] { return jump(kTssSelector); });  // busy
  state().eip = 0x9100;
  ASSERT_TRUE(interrupt_return(core(), 4));
  EXPECT_EQ(state().tr.selector, kTssSelector);
  EXPECT_EQ(state().eip, 0x1234u);
  EXPECT_TRUE(busy(kTssSelector));
  EXPECT_FALSE(busy(kTss2Selector));
  EXPECT_EQ(get32(kTss2 + tss32::kEflags), 0x202u);  // saved without NT
  EXPECT_EQ(get32(kTss2 + tss32::kEip), 0x9100u);
}

TEST_F(TaskSwitch, ReturnNeedsABusyTask) {
  state().eflags |= x86::kNt;
  put16(kTss + tss32::kBacklink, kTss2Selector);
  expect_fault(Vector::InvalidTss, kTss2Selector, [&] { return interrupt_return(core(), 4); });
  put16(kTss + tss32::kBacklink, 0xc);
  expect_fault(Vector::InvalidTss, 0xc, [&] { return interrupt_return(core(), 4); });
}

TEST_F(TaskSwitch, PrivilegeAndPresence) {
  enter_protected(3);
  expect_fault(Vector::GeneralProtection, kTss2Selector, [&] { return jump(); });
  set_descriptor(kFree, x86::make_gate(SystemType::TaskGate, Selector(kTss2Selector), 0, 3));
  ASSERT_TRUE(jump(kFree | 3));
  EXPECT_EQ(state().tr.selector, kTss2Selector);
}

TEST_F(TaskSwitch, SmallTssIsRefused) {
  set_descriptor(kTss2Selector, tss(kTss2, SystemType::Tss32Available, 0x66));
  expect_fault(Vector::InvalidTss, kTss2Selector, [&] { return jump(); });
  EXPECT_FALSE(busy(kTss2Selector));
  EXPECT_TRUE(busy(kTssSelector));
}

TEST_F(TaskSwitch, FaultsBelongToTheNewTask) {
  // The new task's SS is bad: its #TS comes with its registers, on its behalf; the IDT has a gate at level 0.
  put16(kTss2 + tss32::kSegments + 4 * x86::kSs, kData0);
  put32(kTss2 + tss32::kEsp0, 0x60000);
  put16(kTss2 + tss32::kSs0, kData0);
  set_gate(10, x86::make_gate(SystemType::InterruptGate32, Selector(kCode0), 0x7000, 0));
  ASSERT_TRUE(jump());
  EXPECT_EQ(state().tr.selector, kTss2Selector);
  EXPECT_EQ(state().eip, 0x7000u);
  EXPECT_EQ(state().cpl, 0);
  EXPECT_EQ(state().gpr[x86::kEsp], 0x60000u - 24);
  EXPECT_EQ(get32(0x60000 - 24), kData0);   // #TS(SS)
  EXPECT_EQ(get32(0x60000 - 20), 0x9000u);  // the new task's EIP
  EXPECT_EQ(get32(0x60000 - 16), kCode3);
}

TEST_F(TaskSwitch, ABadCodeSegmentLeavesTheNewTasksStackUsable) {
  // CPL is the bad selector's RPL, so the handler behind an interrupt gate stays at level 0 and pushes there.
  put16(kTss2 + tss32::kSegments + 4 * x86::kCs, 0xfff8);
  put16(kTss2 + tss32::kSegments + 4 * x86::kSs, kData0);
  put16(kTss2 + tss32::kSegments + 4 * x86::kFs, 0xffe0);  // bad as well, but not the first
  put32(kTss2 + tss32::kGpr + 4 * x86::kEsp, 0x61000);
  set_gate(10, x86::make_gate(SystemType::InterruptGate32, Selector(kCode0), 0x7000, 0));
  ASSERT_TRUE(jump());
  EXPECT_EQ(state().activity, Activity::Running);
  EXPECT_EQ(state().eip, 0x7000u);
  EXPECT_EQ(segment(x86::kSs).selector, kData0);
  EXPECT_EQ(segment(x86::kFs).attributes, 0u);
  EXPECT_EQ(state().gpr[x86::kEsp], 0x61000u - 16);
  EXPECT_EQ(get32(0x61000 - 16), 0xfff8u);
  EXPECT_EQ(get32(0x61000 - 12), 0x9000u);
}

TEST_F(TaskSwitch, ABadStackAtLevel0LeavesNothingToPushOn) {
  put16(kTss2 + tss32::kSegments + 4 * x86::kCs, kCode0);
  put16(kTss2 + tss32::kSegments + 4 * x86::kSs, 0xfff8);
  set_gate(10, x86::make_gate(SystemType::InterruptGate32, Selector(kCode0), 0x7000, 0));
  set_gate(12, x86::make_gate(SystemType::InterruptGate32, Selector(kCode0), 0x7000, 0));
  set_gate(8, x86::make_gate(SystemType::InterruptGate32, Selector(kCode0), 0x7000, 0));
  ASSERT_TRUE(jump());
  EXPECT_EQ(state().activity, Activity::Shutdown);
}

TEST_F(TaskSwitch, LdtIsLoadedFirst) {
  put16(kTss2 + tss32::kLdt, kLdtSelector);
  put16(kTss2 + tss32::kSegments + 4 * x86::kDs, 0x0f);
  set_descriptor(0x0c, flat(x86::kDataSegment, 3));
  ASSERT_TRUE(jump());
  EXPECT_EQ(state().ldtr.base, kLdt);
  EXPECT_EQ(segment(x86::kDs).selector, 0x0f);
  EXPECT_EQ(segment(x86::kDs).limit, 0xffffffffu);
}

TEST_F(TaskSwitch, ToVirtual8086) {
  put32(kTss2 + tss32::kEflags, x86::kVm | 0x3202);
  for (unsigned n = 0; n < 6; ++n) put16(kTss2 + tss32::kSegments + n * 4, static_cast<uint16_t>(0x100 + n));
  ASSERT_TRUE(jump());
  EXPECT_TRUE(core().v86_mode());
  EXPECT_EQ(segment(x86::kCs), segment_for_v86(0x101));
  EXPECT_EQ(state().cpl, 3);
}

TEST_F(TaskSwitch, SixteenBits) {
  set_descriptor(kTss2Selector, tss(kTss2, SystemType::Tss16Available, 0x2b));
  for (uint32_t n = 0; n < 0x68; ++n) put(kTss2 + n, 0, 1);
  put16(kTss2 + tss16::kIp, 0x9000);
  put16(kTss2 + tss16::kFlags, 0x202);
  put16(kTss2 + tss16::kGpr, 0x5678);
  for (unsigned n = 0; n < 4; ++n) put16(kTss2 + tss16::kSegments + n * 2, n == x86::kCs ? kCode3 : kData3);
  state().cr3 = 0x12000;
  ASSERT_TRUE(call());
  EXPECT_EQ(state().eip, 0x9000u);
  EXPECT_EQ(state().gpr[x86::kEax], 0xffff5678u);
  EXPECT_EQ(segment(x86::kFs).selector, 0);
  EXPECT_EQ(state().cr3, 0x12000u);
  EXPECT_EQ(get16(kTss2 + tss16::kBacklink), kTssSelector);
}

TEST_F(TaskSwitch, Cr3OnlyWithPaging) {
  constexpr uint32_t kDirectory = 0x10000, kOther = 0x11000;
  for (const uint32_t directory : {kDirectory, kOther}) {
    put32(directory, 0x83);
  }
  put32(kTss2 + tss32::kCr3, kOther);
  state().cr4 = x86::kCr4Pse;
  ASSERT_TRUE(load_segment(core(), x86::kFs, kData0));
  state().cr3 = kDirectory;
  state().cr0 |= x86::kCr0Pg;
  flush_tlb(core());
  ASSERT_TRUE(jump());
  EXPECT_EQ(state().cr3, kOther);
}

TEST_F(TaskSwitch, OldTssOnAReadOnlyPageRefuses) {
  constexpr uint32_t kDirectory = 0x10000, kTable = 0x11000;
  put32(kDirectory, kTable | 3);
  for (unsigned n = 0; n < 512; ++n) put32(kTable + n * 4, n << 12 | (n == kTss >> 12 ? 1 : 3));
  state().cr3 = kDirectory;
  state().cr0 |= x86::kCr0Pg | x86::kCr0Wp;
  flush_tlb(core());
  expect_fault(Vector::PageFault, 3, [&] { return jump(); });
  EXPECT_EQ(state().tr.selector, kTssSelector);
  EXPECT_FALSE(busy(kTss2Selector));
}

TEST_F(TaskSwitch, TrapBit) {
  put16(kTss2 + tss32::kTrap, 1);
  ASSERT_TRUE(jump());
  EXPECT_EQ(core().pending_dr6, x86::kDr6TaskSwitch);
}

TEST_F(TaskSwitch, InterruptThroughTaskGate) {
  set_gate(0x20, x86::make_gate(SystemType::TaskGate, Selector(kTss2Selector), 0, 0));
  deliver(core(), Event{.kind = EventKind::ExternalInterrupt, .vector = static_cast<Vector>(0x20)});
  EXPECT_EQ(state().tr.selector, kTss2Selector);
  EXPECT_EQ(state().gpr[x86::kEsp], 0x1004u);  // nothing pushed
  EXPECT_EQ(get16(kTss2 + tss32::kBacklink), kTssSelector);
  EXPECT_EQ(get32(kTss + tss32::kEip), 0x1234u);
}

}  // namespace
}  // namespace vitrine::cpu
