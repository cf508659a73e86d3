// The dispatcher: budget, order of events, interrupts and their shadows, single steps, breakpoints, signals.
#include "cpu/vcpu.h"

#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

using enum x86::Gpr;

constexpr uint32_t kDr7Local0 = 1;
constexpr uint32_t kDr7Write = 1u << 16;
constexpr uint32_t kDr7FourBytes = 3u << 18;

TEST(VcpuTest, RunsExactlyTheBudget) {
  TestMachine m;
  m.load_code({0x40, 0x40, 0x40, 0x40, 0xeb, 0xfa});  // four INC EAX in a loop
  for (const uint64_t budget : {1u, 2u, 3u, 7u, 1000u}) {
    const uint64_t before = m.cpu->executed();
    EXPECT_EQ(m.run(budget).reason, ExitReason::BudgetSpent);
    EXPECT_EQ(m.cpu->executed() - before, budget);
  }
  // 1013 instructions, of which each fifth is the jump.
  EXPECT_EQ(m.reg(kEax), 1013 - 1013 / 5);
}

TEST(VcpuTest, ZeroBudgetExecutesNothing) {
  TestMachine m;
  EXPECT_EQ(m.run_code({0x40}, 0).reason, ExitReason::BudgetSpent);
  EXPECT_EQ(m.reg(kEax), 0u);
}

TEST(VcpuTest, HaltCountsAndStopsUntilAnInterrupt) {
  TestMachine m;
  m.trap_exceptions();
  EXPECT_EQ(m.run_code({0xfb}).reason, ExitReason::Halted);  // STI; HLT
  EXPECT_EQ(m.cpu->executed(), 2u);
  EXPECT_EQ(m.run().reason, ExitReason::Halted);
  EXPECT_EQ(m.cpu->executed(), 2u);
  m.bus.interrupts = {0x40};
  m.cpu->set_interrupt_request(true);
  EXPECT_EQ(m.run().reason, ExitReason::Halted);
  EXPECT_EQ(m.exception(), 0x40);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 2);
}

TEST(VcpuTest, InterruptsWaitForIf) {
  TestMachine m;
  m.trap_exceptions();
  m.bus.interrupts = {0x40};
  m.cpu->set_interrupt_request(true);
  m.run_code({0x40, 0x40});
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.reg(kEax), 2u);
}

TEST(VcpuTest, StiShadowCoversOneInstruction) {
  TestMachine m;
  m.trap_exceptions();
  m.bus.interrupts = {0x40};
  m.cpu->set_interrupt_request(true);
  m.run_code({0xfb, 0x40, 0x40});  // STI; INC EAX; INC EAX
  EXPECT_EQ(m.exception(), 0x40);
  EXPECT_EQ(m.reg(kEax), 1u);
}

TEST(VcpuTest, SsLoadShadowCoversOneInstruction) {
  TestMachine m;
  m.trap_exceptions();
  m.state().eflags |= x86::kIf;
  m.load_code({0x8e, 0xd0, 0x40, 0x40});  // MOV SS, EAX; INC EAX; INC EAX
  m.reg(kEax) = TestMachine::kData32;
  ASSERT_EQ(m.run(1).reason, ExitReason::BudgetSpent);
  m.bus.interrupts = {0x40};
  m.cpu->set_interrupt_request(true);
  m.run();
  EXPECT_EQ(m.exception(), 0x40);
  EXPECT_EQ(m.reg(kEax), TestMachine::kData32 + 1u);
}

TEST(VcpuTest, NmiIsBlockedUntilIret) {
  TestMachine m;
  m.trap_exceptions();
  // The handler of vector 2: INC EBX; IRET.
  m.write(0x40000, {0x43, 0xcf});
  m.set_gate(2, 0x40000, 0x8e00);
  m.load_code({0x40, 0x40});
  m.cpu->raise_nmi();
  ASSERT_EQ(m.run(1).reason, ExitReason::BudgetSpent);  // INC EBX
  EXPECT_TRUE(m.state().nmi_blocked);
  m.cpu->raise_nmi();
  ASSERT_EQ(m.run(1).reason, ExitReason::BudgetSpent);  // IRET
  EXPECT_FALSE(m.state().nmi_blocked);
  EXPECT_EQ(m.reg(kEbx), 1u);
  m.run();
  EXPECT_EQ(m.reg(kEbx), 2u);
  EXPECT_EQ(m.reg(kEax), 2u);
}

// The second one may not disappear in the first because that one has not been taken yet.
TEST(VcpuTest, NmisThatWaitAreTwoAtMostAndOneWhileBlocked) {
  TestMachine m;
  m.trap_exceptions();
  // The handler of vector 2: INC EBX; IRET.
  m.write(0x40000, {0x43, 0xcf});
  m.set_gate(2, 0x40000, 0x8e00);
  m.load_code({0x40, 0x40});
  for (int i = 0; i < 3; ++i) m.cpu->raise_nmi();
  EXPECT_EQ(m.state().nmis_pending, 2);
  ASSERT_EQ(m.run(1).reason, ExitReason::BudgetSpent);  // INC EBX
  for (int i = 0; i < 3; ++i) m.cpu->raise_nmi();
  EXPECT_EQ(m.state().nmis_pending, 1);
  m.run();
  EXPECT_EQ(m.reg(kEbx), 2u);
  EXPECT_EQ(m.reg(kEax), 2u);
}

TEST(VcpuTest, NmiGoesBeforeInterrupt) {
  TestMachine m;
  m.trap_exceptions();
  m.state().eflags |= x86::kIf;
  m.load_code({0x40});
  m.bus.interrupts = {0x40};
  m.cpu->set_interrupt_request(true);
  m.cpu->raise_nmi();
  m.run();
  EXPECT_EQ(m.exception(), 2);
}

TEST(VcpuTest, KickEndsTheRun) {
  TestMachine m;
  m.load_code({0xeb, 0xfe});
  m.cpu->kick();
  EXPECT_EQ(m.run().reason, ExitReason::Kicked);
  EXPECT_EQ(m.run(10).reason, ExitReason::BudgetSpent);
}

struct KickingPort : memory::PortDevice {
  Vcpu* cpu = nullptr;
  uint64_t seen = 0;
  uint32_t read_port(uint16_t, unsigned) override {
    seen = cpu->executed();
    return 0x5a;
  }
  void write_port(uint16_t, unsigned, uint32_t) override { cpu->kick(); }
};

TEST(VcpuTest, DevicesSeeExactCountsAndKickTakesEffectAtOnce) {
  TestMachine m;
  KickingPort port;
  port.cpu = m.cpu.get();
  m.ports.map(0x80, 1, port);
  EXPECT_EQ(m.run_code({0x90, 0x90, 0xe4, 0x80, 0xe6, 0x80, 0x40}).reason, ExitReason::Kicked);
  EXPECT_EQ(port.seen, 2u);
  EXPECT_EQ(m.reg(kEax), 0x5au);
  EXPECT_EQ(m.cpu->executed(), 4u);
}

struct CountingMemory : memory::MemoryDevice {
  Vcpu* cpu = nullptr;
  uint64_t seen = 0;
  uint64_t read_memory(uint64_t, unsigned) override {
    seen = cpu->executed();
    return 0x11223344;
  }
  void write_memory(uint64_t, unsigned, uint64_t) override { cpu->set_interrupt_request(true); }
};

TEST(VcpuTest, MemoryMappedDevicesSeeExactCountsInTheMiddleOfABlock) {
  TestMachine m;
  CountingMemory device;
  device.cpu = m.cpu.get();
  m.map.add(memory::Placement::mmio(PhysicalAddress(0xfee00000), kPageSize, device));
  m.run_code({0x90, 0x90, 0x90, 0xa1, 0, 0, 0xe0, 0xfe, 0x90});  // MOV EAX, [FEE00000h]
  EXPECT_EQ(device.seen, 3u);
  EXPECT_EQ(m.reg(kEax), 0x11223344u);
}

TEST(VcpuTest, AnInterruptFromADeviceComesAtTheNextInstruction) {
  TestMachine m;
  m.trap_exceptions();
  CountingMemory device;
  device.cpu = m.cpu.get();
  m.map.add(memory::Placement::mmio(PhysicalAddress(0xfee00000), kPageSize, device));
  m.bus.interrupts = {0x41};
  m.state().eflags |= x86::kIf;
  m.run_code({0x43, 0xa3, 0, 0, 0xe0, 0xfe, 0x43, 0x43});  // INC EBX; MOV [FEE00000h], EAX; INC EBX twice
  EXPECT_EQ(m.exception(), 0x41);
  EXPECT_EQ(m.reg(kEbx), 1u);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 6);
}

TEST(VcpuTest, TrapFlagTrapsAfterEachInstruction) {
  TestMachine m;
  m.trap_exceptions();
  m.state().eflags |= x86::kTf;
  m.run_code({0x40, 0x40});
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 1);
  EXPECT_NE(m.state().dr6 & 1u << 14, 0u);
  EXPECT_EQ(m.state().eflags & x86::kTf, 0u);
}

TEST(VcpuTest, PopfThatSetsTfTrapsAfterTheNextInstruction) {
  TestMachine m;
  m.trap_exceptions();
  m.run_code({0x68, 0x02, 0x01, 0, 0, 0x9d, 0x40, 0x40});  // PUSH 102h; POPF; INC EAX twice
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.reg(kEax), 1u);
}

TEST(VcpuTest, SsLoadHoldsTheSingleStepTrapBack) {
  TestMachine m;
  m.trap_exceptions();
  m.reg(kEax) = TestMachine::kData32;
  m.state().eflags |= x86::kTf;
  m.run_code({0x8e, 0xd0, 0x43, 0x43});  // MOV SS, EAX; INC EBX twice
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.reg(kEbx), 1u);
}

TEST(VcpuTest, SoftwareInterruptHasNoTrapAtItsHandler) {
  TestMachine m;
  m.trap_exceptions();
  m.state().eflags |= x86::kTf;
  m.run_code({0xcd, 0x50});
  EXPECT_EQ(m.exception(), 0x50);
}

TEST(VcpuTest, TrapFlagStopsARepeatedStringAtEachIteration) {
  TestMachine m;
  m.trap_exceptions();
  m.reg(kEcx) = 5;
  m.reg(kEdi) = TestMachine::kData;
  m.state().eflags |= x86::kTf;
  m.run_code({0xf3, 0xaa});  // REP STOSB
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.reg(kEcx), 4u);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode);
}

TEST(VcpuTest, EachIterationOfARepeatedStringCounts) {
  constexpr uint32_t kCount = 10'000;
  const auto start = [](TestMachine& m) {
    m.load_code({0xf3, 0xaa});  // REP STOSB
    m.reg(kEcx) = kCount;
    m.reg(kEdi) = TestMachine::kData;
    m.cpu->state_changed();
  };
  TestMachine whole;
  start(whole);
  EXPECT_EQ(whole.cpu->run(1'000'000).reason, ExitReason::Halted);
  EXPECT_EQ(whole.cpu->executed(), kCount + 1);

  // A budget ends between iterations, whatever is in the way of blocks.
  TestMachine pieces;
  start(pieces);
  uint64_t executed = 0;
  for (const uint64_t piece : {1u, 2u, 5000u, 4095u}) {
    executed += piece;
    EXPECT_EQ(pieces.cpu->run(piece).reason, ExitReason::BudgetSpent);
    EXPECT_EQ(pieces.cpu->executed(), executed);
    EXPECT_EQ(pieces.reg(kEcx), kCount - executed);
  }

  TestMachine none;
  start(none);
  none.reg(kEcx) = 0;
  EXPECT_EQ(none.cpu->run(1'000).reason, ExitReason::Halted);
  EXPECT_EQ(none.cpu->executed(), 2u);
}

TEST(VcpuTest, IterationsBeforeAFaultCount) {
  TestMachine m;
  m.trap_exceptions();
  m.enable_paging();
  m.set_page(TestMachine::kData + 0x1000, 0);
  m.load_code({0xf3, 0xaa});  // REP STOSB
  m.reg(kEcx) = 100;
  m.reg(kEdi) = TestMachine::kData + 0x1000 - 7;
  m.run();
  EXPECT_EQ(m.exception(), 14);
  EXPECT_EQ(m.reg(kEcx), 93u);
  EXPECT_EQ(m.cpu->executed(), 7u + 1 + 1);  // the fault, the handler's HLT
}

TEST(VcpuTest, ResumeFlagWithinARepeatedString) {
  // SDM Vol. 3B, "Instruction-Breakpoint Exception Condition": set in the image of a trap after any iteration
  // but the last; a breakpoint on the instruction is not met again by the iterations that follow.
  TestMachine m;
  m.trap_exceptions();
  m.state().dr[0] = TestMachine::kCode;
  m.state().dr7 |= kDr7Local0;
  m.state().eflags |= x86::kTf | x86::kRf;
  m.reg(kEcx) = 2;
  m.reg(kEdi) = TestMachine::kData;
  m.run_code({0xf3, 0xaa});  // REP STOSB
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.state().dr6 & 0x400f, 0x4000u);
  EXPECT_NE(m.stacked(2) & x86::kRf, 0u);
  m.state().eip = TestMachine::kCode;
  m.state().eflags |= x86::kTf | x86::kRf;
  m.state().activity = Activity::Running;
  m.run();  // the last iteration
  EXPECT_EQ(m.stacked(2) & x86::kRf, 0u);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 2);

  TestMachine free;
  free.state().dr[0] = TestMachine::kCode;
  free.state().dr7 |= kDr7Local0;
  free.state().eflags |= x86::kRf;
  free.reg(kEcx) = 20;
  free.reg(kEdi) = TestMachine::kData;
  EXPECT_EQ(free.run_code({0xf3, 0xaa}).reason, ExitReason::Halted);
  EXPECT_EQ(free.reg(kEcx), 0u);
}

TEST(VcpuTest, InstructionBreakpointFaultsBefore) {
  TestMachine m;
  m.trap_exceptions();
  m.state().dr[0] = TestMachine::kCode + 1;
  m.state().dr7 |= kDr7Local0;
  m.run_code({0x40, 0x40, 0x40});
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 1);
  EXPECT_EQ(m.stacked(2) & x86::kRf, 0u);  // the one fault whose image has RF clear
  EXPECT_EQ(m.state().dr6 & 15, 1u);
}

TEST(VcpuTest, ResumeFlagPassesABreakpointOnce) {
  TestMachine m;
  m.trap_exceptions();
  m.state().dr[0] = TestMachine::kCode;
  m.state().dr7 |= kDr7Local0;
  m.state().eflags |= x86::kRf;
  m.run_code({0x40, 0xeb, 0xfd});  // INC EAX; JMP to it
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.reg(kEax), 1u);
}

TEST(VcpuTest, DataBreakpointTrapsAfter) {
  TestMachine m;
  m.trap_exceptions();
  m.state().dr[0] = TestMachine::kData;
  m.state().dr7 |= kDr7Local0 | kDr7Write | kDr7FourBytes;
  // MOV EAX, [data]; MOV [data+2], AL; INC EBX; INC EBX
  m.run_code({0xa1, 0, 0, 2, 0, 0xa2, 2, 0, 2, 0, 0x43, 0x43});
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.reg(kEbx), 0u);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 10);
  EXPECT_EQ(m.state().dr6 & 15, 1u);
}

TEST(VcpuTest, DebuggersBreakpointStopsBeforeAndIsPassedOnTheNextRun) {
  TestMachine m;
  m.load_code({0x40, 0x40, 0x40});
  m.cpu->set_debug_requests({.breakpoints = {VirtualAddress(TestMachine::kCode + 1)}, .watchpoints = {}});
  const Exit exit = m.run();
  EXPECT_EQ(exit.reason, ExitReason::Breakpoint);
  EXPECT_EQ(exit.address, VirtualAddress(TestMachine::kCode + 1));
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.run().reason, ExitReason::Halted);
  EXPECT_EQ(m.reg(kEax), 3u);
}

TEST(VcpuTest, DebuggersWatchpointStopsAfterTheAccess) {
  TestMachine m;
  m.load_code({0xa3, 0, 0, 2, 0, 0x40, 0x40});  // MOV [data], EAX; INC EAX twice
  m.cpu->set_debug_requests(
      {.breakpoints = {}, .watchpoints = {{.start = VirtualAddress(TestMachine::kData), .size = 4}}});
  const Exit exit = m.run();
  EXPECT_EQ(exit.reason, ExitReason::Watchpoint);
  EXPECT_EQ(exit.address, VirtualAddress(TestMachine::kData));
  EXPECT_EQ(m.state().eip, TestMachine::kCode + 5);
  EXPECT_EQ(m.run().reason, ExitReason::Halted);
}

TEST(VcpuTest, DebuggersSingleStep) {
  TestMachine m;
  m.load_code({0x40, 0x40});
  m.cpu->set_debug_requests({.breakpoints = {}, .watchpoints = {}, .single_step = true});
  EXPECT_EQ(m.run().reason, ExitReason::Stepped);
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.run().reason, ExitReason::Stepped);
  EXPECT_EQ(m.reg(kEax), 2u);
}

TEST(VcpuTest, TripleFaultIsShutdown) {
  TestMachine m;
  m.state().idtr.limit = 0;
  EXPECT_EQ(m.run_code({0x0f, 0x0b}).reason, ExitReason::Shutdown);
  EXPECT_EQ(m.run().reason, ExitReason::Shutdown);
}

TEST(VcpuTest, ApplicationProcessorWaitsForStartup) {
  TestMachine m;
  CpuModel model = CpuModel::create("max").value();
  Vcpu second({m.map, m.ports, m.bus, model, 1});
  EXPECT_EQ(second.run(10).reason, ExitReason::Halted);
  m.write(0x9000, {0x40, 0xf4});
  second.startup(9);
  EXPECT_EQ(second.run(10).reason, ExitReason::Halted);
  EXPECT_EQ(second.state().gpr[kEax] & 0xffff, 1u);
  EXPECT_EQ(second.state().segments[x86::kCs].base, 0x9000u);
  second.startup(9);  // not heard any more
  EXPECT_EQ(second.run(10).reason, ExitReason::Halted);
  EXPECT_EQ(second.state().eip, 2u);
  second.init();
  EXPECT_EQ(second.run(10).reason, ExitReason::Halted);
  EXPECT_EQ(second.state().activity, Activity::WaitForStartup);
}

TEST(VcpuTest, StateSurvivesSaving) {
  TestMachine m;
  m.run_code({0xb8, 4, 3, 2, 1, 0xf9});  // MOV EAX, 1020304h; STC
  StateArchive saving;
  m.cpu->serialize(saving);
  TestMachine other;
  StateArchive loading(saving.data());
  other.cpu->serialize(loading);
  ASSERT_TRUE(loading.status());
  EXPECT_EQ(other.state().gpr, m.state().gpr);
  EXPECT_EQ(other.state().eflags, m.state().eflags);
  EXPECT_EQ(other.state().segments, m.state().segments);
  EXPECT_EQ(other.cpu->executed(), m.cpu->executed());
}

}  // namespace
}  // namespace vitrine::cpu
