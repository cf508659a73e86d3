// Delivery of exceptions and interrupts.
#include "cpu/system_test_core.h"
#include "x86/page_entries.h"

namespace vitrine::cpu {
namespace {

using x86::Selector;
using x86::SystemType;
using x86::Vector;

class Exceptions : public SystemTest {
 protected:
  static Event fault(Vector vector, uint32_t error_code = 0) {
    return Event{.kind = EventKind::Fault, .vector = vector, .error_code = error_code};
  }
  static Event interrupt(uint8_t vector) {
    return Event{.kind = EventKind::ExternalInterrupt, .vector = static_cast<Vector>(vector)};
  }
  static x86::Descriptor gate(SystemType type = SystemType::InterruptGate32, uint32_t offset = 0x7000,
                              uint8_t dpl = 0, uint16_t selector = kCode0) {
    return x86::make_gate(type, Selector(selector), offset, dpl);
  }
  uint32_t stacked(unsigned n) { return get32(state().gpr[x86::kEsp] + n * 4); }
  bool software(uint8_t vector, EventKind kind = EventKind::SoftwareInterrupt) {
    return software_interrupt(core(), vector, kind);
  }
};

TEST_F(Exceptions, RealMode) {
  put32(0x21 * 4, 0x12340056);
  state().gpr[x86::kEsp] = 0x8000;
  state().eflags = x86::kIf | x86::kTf | x86::kCf | 2;
  deliver(core(), interrupt(0x21));
  EXPECT_EQ(state().eip, 0x56u);
  EXPECT_EQ(segment(x86::kCs).base, 0x12340u);
  EXPECT_EQ(state().eflags, x86::kCf | 2);
  EXPECT_EQ(get16(0x7ffe), x86::kIf | x86::kTf | x86::kCf | 2);
  EXPECT_EQ(get16(0x7ffc), 0xf000u);
  EXPECT_EQ(get16(0x7ffa), 0xfff0u);
}

TEST_F(Exceptions, RealModeWithoutTableShutsDown) {
  state().idtr.limit = 0;
  deliver(core(), interrupt(0x21));
  EXPECT_EQ(state().activity, Activity::Shutdown);
}

TEST_F(Exceptions, SameLevelWithErrorCodeAndRf) {
  enter_protected(0);
  set_gate(13, gate());
  state().eflags = x86::kIf | x86::kNt | x86::kTf | 2;
  deliver(core(), fault(Vector::GeneralProtection, 0x48));
  EXPECT_EQ(state().gpr[x86::kEsp], kStack0 - 16);
  EXPECT_EQ(stacked(0), 0x48u);
  EXPECT_EQ(stacked(1), 0x1234u);
  EXPECT_EQ(stacked(2), kCode0);
  EXPECT_EQ(stacked(3), x86::kIf | x86::kNt | x86::kTf | x86::kRf | 2);
  EXPECT_EQ(state().eflags, 2u);
  EXPECT_EQ(state().eip, 0x7000u);
}

TEST_F(Exceptions, TrapGateKeepsIf) {
  enter_protected(0);
  set_gate(0x30, gate(SystemType::TrapGate32));
  state().eflags = x86::kIf | 2;
  deliver(core(), interrupt(0x30));
  EXPECT_EQ(state().eflags, x86::kIf | 2);
  EXPECT_EQ(stacked(2), x86::kIf | 2);  // no RF for an interrupt, no error code
}

TEST_F(Exceptions, ToInnerLevel) {
  enter_protected(3);
  set_gate(14, gate());
  deliver(core(), Event{.vector = Vector::PageFault, .error_code = 6, .address = 0xbadf00d});
  EXPECT_EQ(state().cr2, 0xbadf00du);
  EXPECT_EQ(state().cpl, 0);
  EXPECT_EQ(state().gpr[x86::kEsp], kStack0 - 24);
  const uint32_t expected[] = {6, 0x1234, kCode3, x86::kRf | 2, kStack3, kData3};
  for (unsigned n = 0; n < 6; ++n) EXPECT_EQ(stacked(n), expected[n]) << n;
  EXPECT_EQ(segment(x86::kDs).selector, kData3);  // data segments stay
}

TEST_F(Exceptions, Gate16) {
  enter_protected(3);
  set_gate(0x31, gate(SystemType::InterruptGate16, 0xffff7000));
  deliver(core(), interrupt(0x31));
  EXPECT_EQ(state().eip, 0x7000u);
  EXPECT_EQ(state().gpr[x86::kEsp], kStack0 - 10);
  EXPECT_EQ(get16(kStack0 - 10), 0x1234u);
}

TEST_F(Exceptions, SoftwareInterruptsAskTheGate) {
  enter_protected(3);
  set_gate(0x80, gate(SystemType::TrapGate32, 0x7000, 3));
  set_gate(0x81, gate());
  set_gate(1, gate());
  set_gate(3, gate());
  expect_fault(Vector::GeneralProtection, 0x81 * 8 + 2, [&] { return software(0x81); });
  expect_fault(Vector::GeneralProtection, 3 * 8 + 2,
               [&] { return software(3, EventKind::SoftwareException); });
  ASSERT_TRUE(software(1, EventKind::PrivilegedSoftwareException));
  EXPECT_EQ(state().cpl, 0);
  enter_protected(3);
  ASSERT_TRUE(software(0x80));
  EXPECT_EQ(stacked(0), 0x1234u);
  EXPECT_EQ(stacked(2), 2u);
  enter_protected(3);
  state().idtr.limit = 0x80 * 8 + 6;
  expect_fault(Vector::GeneralProtection, 0x80 * 8 + 2, [&] { return software(0x80); });
}

TEST_F(Exceptions, GateChecks) {
  enter_protected(0);
  const auto go = [&] { return software(0x40); };
  set_gate(0x40, x86::Descriptor());
  expect_fault(Vector::GeneralProtection, 0x202, go);
  x86::Descriptor absent = gate();
  absent.high &= ~x86::kAttributePresent;
  set_gate(0x40, absent);
  expect_fault(Vector::SegmentNotPresent, 0x202, go);
  set_gate(0x40, gate(SystemType::InterruptGate32, 0, 0, 0));
  expect_fault(Vector::GeneralProtection, 0, go);
  set_gate(0x40, gate(SystemType::InterruptGate32, 0, 0, kData0));
  expect_fault(Vector::GeneralProtection, kData0, go);
  set_gate(0x40, gate(SystemType::InterruptGate32, 0, 0, kCode3));
  expect_fault(Vector::GeneralProtection, kCode3 & ~3, go);
  set_gate(0x40, gate(SystemType::CallGate32));
  expect_fault(Vector::GeneralProtection, 0x202, go);
}

TEST_F(Exceptions, FaultsDuringDeliveryHaveExt) {
  enter_protected(0);
  set_gate(13, gate());
  deliver(core(), interrupt(0x50));  // no gate there
  EXPECT_EQ(state().eip, 0x7000u);
  EXPECT_EQ(stacked(0), 0x50 * 8 + 3u);
}

TEST_F(Exceptions, DoubleFaultAndShutdown) {
  enter_protected(0);
  set_gate(8, gate(SystemType::InterruptGate32, 0x8000));
  deliver(core(), fault(Vector::GeneralProtection));  // #GP while delivering #GP
  EXPECT_EQ(state().eip, 0x8000u);
  EXPECT_EQ(stacked(0), 0u);
  EXPECT_EQ(state().activity, Activity::Running);
  set_gate(8, x86::Descriptor());
  deliver(core(), fault(Vector::GeneralProtection));
  EXPECT_EQ(state().activity, Activity::Shutdown);
}

TEST_F(Exceptions, BenignFirstIsServedByTheSecond) {
  enter_protected(0);
  set_gate(13, gate());
  deliver(core(), fault(Vector::InvalidOpcode));
  EXPECT_EQ(state().eip, 0x7000u);
  EXPECT_EQ(stacked(0), 6 * 8 + 3u);
}

TEST_F(Exceptions, PageFaultOnTheStackOfAPageFaultIsDouble) {
  enter_protected(0);
  // 4 MiB identity pages but for the stack's own.
  constexpr uint32_t kDirectory = 0x10000;
  for (unsigned n = 0; n < 4; ++n) put32(kDirectory + n * 4, n << 22 | 0x83);
  state().cr4 = x86::kCr4Pse;
  state().cr3 = kDirectory;
  state().cr0 |= x86::kCr0Pg;
  flush_tlb(core());
  state().gpr[x86::kEsp] = 0x40000000;
  set_gate(14, gate());
  set_gate(8, x86::make_gate(SystemType::TaskGate, Selector(kTss2Selector), 0, 0));
  put32(kTss2 + x86::tss32::kEip, 0x9000);
  put32(kTss2 + x86::tss32::kCr3, kDirectory);
  put32(kTss2 + x86::tss32::kGpr + 4 * x86::kEsp, 0x50000);
  for (unsigned n = 0; n < 6; ++n)
    put16(kTss2 + x86::tss32::kSegments + n * 4, n == x86::kCs ? kCode0 : kData0);
  deliver(core(), Event{.vector = Vector::PageFault, .error_code = 0, .address = 0x12345678});
  EXPECT_EQ(state().tr.selector, kTss2Selector);
  EXPECT_EQ(state().eip, 0x9000u);
  EXPECT_EQ(get32(0x50000 - 4), 0u);  // the error code
  EXPECT_EQ(state().gpr[x86::kEsp], 0x50000u - 4);
  EXPECT_EQ(state().cr2, 0x40000000u - 4);
  EXPECT_NE(state().eflags & x86::kNt, 0u);
}

TEST_F(Exceptions, FromVirtual8086) {
  enter_v86(3);
  set_gate(0x20, gate());
  deliver(core(), interrupt(0x20));
  EXPECT_FALSE(core().v86_mode());
  EXPECT_EQ(state().cpl, 0);
  EXPECT_EQ(state().gpr[x86::kEsp], kStack0 - 36);
  EXPECT_EQ(stacked(0), 0x234u);
  EXPECT_EQ(stacked(1), 0x1000u);
  EXPECT_NE(stacked(2) & x86::kVm, 0u);
  EXPECT_EQ(stacked(3), 0x100u);
  EXPECT_EQ(stacked(4), 0x3000u);
  EXPECT_EQ(stacked(8), 0x1000u);
  EXPECT_EQ(segment(x86::kDs), SegmentRegister{});
  enter_v86(3);
  set_gate(0x20, gate(SystemType::InterruptGate32, 0x7000, 3, kConforming));
  expect_fault(Vector::GeneralProtection, kConforming, [&] { return software(0x20); });
}

TEST_F(Exceptions, Virtual8086SoftwareInterruptNeedsIopl) {
  enter_v86(0);
  set_gate(0x21, gate(SystemType::InterruptGate32, 0x7000, 3));
  set_gate(3, gate(SystemType::InterruptGate32, 0x7000, 3));
  expect_fault(Vector::GeneralProtection, 0, [&] { return software(0x21); });
  ASSERT_TRUE(software(3, EventKind::SoftwareException));  // INT3 is not sensitive to IOPL
  enter_v86(3);
  ASSERT_TRUE(software(0x21));
}

TEST_F(Exceptions, VmeRedirects) {
  enter_v86(0);
  state().cr4 = x86::kCr4Vme;
  state().eflags = (state().eflags & ~x86::kIf) | x86::kVif;
  put32(0x21 * 4, 0x44440010);
  ASSERT_TRUE(software(0x21));
  EXPECT_EQ(segment(x86::kCs), segment_for_v86(0x4444));
  EXPECT_EQ(state().eip, 0x10u);
  EXPECT_EQ(state().eflags & (x86::kVif | x86::kIf), 0u);
  EXPECT_EQ(get16(0x300fe), x86::kIopl | x86::kIf | 2);  // VIF shows as IF, IOPL as 3
  put(kTss + 0x68 + 0x21 / 8, 1 << (0x21 & 7), 1);
  expect_fault(Vector::GeneralProtection, 0, [&] { return software(0x21); });
}

TEST_F(Exceptions, DebugRegistersAndNmi) {
  enter_protected(0);
  set_gate(1, gate());
  set_gate(2, gate());
  state().dr7 = 0x2400;
  deliver(core(), Event{.kind = EventKind::Trap, .vector = Vector::Debug, .dr6 = 0x4000});
  EXPECT_EQ(state().dr6, 0xffff4ff0u);
  EXPECT_EQ(state().dr7, 0x400u);
  EXPECT_EQ(stacked(2), 2u);
  deliver(core(), Event{.kind = EventKind::Fault, .vector = Vector::Debug, .dr6 = 2});
  EXPECT_EQ(state().dr6, 0xffff4ff2u);
  EXPECT_EQ(stacked(2) & x86::kRf, 0u);  // instruction breakpoints leave RF to the handler
  state().activity = Activity::Halted;
  deliver(core(), Event{.kind = EventKind::Nmi, .vector = Vector::Nmi});
  EXPECT_TRUE(state().nmi_blocked);
  EXPECT_EQ(state().activity, Activity::Running);
}

}  // namespace
}  // namespace vitrine::cpu
