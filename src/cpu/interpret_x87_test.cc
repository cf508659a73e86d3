// What running against the host (tests/differential) cannot show of the x87 unit: exceptions of CR0's making,
// #MF and FERR#, state between runs.
#include <bit>

#include "cpu/fpu_state.h"
#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

constexpr uint32_t kControlWord = TestMachine::kData;
constexpr int kNothing = -1, kUndefined = 6, kNotAvailable = 7, kX87Error = 16;

// fldcw [kData]
#define FLDCW 0xd9, 0x2d, 0x00, 0x00, 0x02, 0x00
#define FLD1 0xd9, 0xe8
#define FLDZ 0xd9, 0xee
#define FDIVP 0xde, 0xf9
#define FNSTSW_AX 0xdf, 0xe0
#define FNCLEX 0xdb, 0xe2

/// With the x87 unit as FNINIT leaves it; after a reset no register is empty.
struct X87Machine : TestMachine {
  X87Machine() { state().fpu = {}; }
};

int exception_of(uint32_t cr0, std::initializer_list<uint8_t> code) {
  X87Machine m;
  m.trap_exceptions();
  m.state().cr0 |= cr0;
  m.state().cr4 |= x86::kCr4Osfxsr;
  m.run_code(code);
  return m.exception();
}

// SDM Vol. 3A, table "Action Taken By the Processor for Different Combinations of EM, MP, and TS".
TEST(X87, CombinationsOfEmMpTs) {
  for (unsigned bits = 0; bits < 8; ++bits) {
    const bool em = (bits & 4) != 0, mp = (bits & 2) != 0, ts = (bits & 1) != 0;
    const uint32_t cr0 = (em ? x86::kCr0Em : 0) | (mp ? x86::kCr0Mp : 0) | (ts ? x86::kCr0Ts : 0);
    EXPECT_EQ(exception_of(cr0, {FLD1}), em || ts ? kNotAvailable : kNothing) << bits;
    EXPECT_EQ(exception_of(cr0, {0xdb, 0xe3}), em || ts ? kNotAvailable : kNothing) << bits;  // fninit
    EXPECT_EQ(exception_of(cr0, {0x9b}), mp && ts ? kNotAvailable : kNothing) << bits;        // fwait
    const int vector = em ? kUndefined : ts ? kNotAvailable : kNothing;
    EXPECT_EQ(exception_of(cr0, {0x0f, 0xfc, 0xc1}), vector) << bits;  // paddb mm0, mm1
    EXPECT_EQ(exception_of(cr0, {0x0f, 0x58, 0xc1}), vector) << bits;  // addps xmm0, xmm1
  }
}

TEST(X87, PendingErrorIsReportedByTheNextWaitingInstruction) {
  X87Machine m;
  m.trap_exceptions();
  m.state().cr0 |= x86::kCr0Ne;
  m.put<uint16_t>(kControlWord, 0x37b);  // zero divide unmasked
  m.run_code({FLDCW, FLD1, FLDZ, FDIVP, FNSTSW_AX, FLD1});
  EXPECT_EQ(m.exception(), kX87Error);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 14);  // the second FLD1, not executed
  EXPECT_EQ(m.reg(x86::kEax) & 0x8084, 0x8084u);
  const FloatingPointState& fpu = m.state().fpu;
  EXPECT_EQ(fpu.instruction_pointer, TestMachine::kCode + 10);
  EXPECT_EQ(fpu.instruction_segment, TestMachine::kCode32);
  EXPECT_EQ(fpu.opcode, 0x6f9);
  EXPECT_EQ(fpu.status >> 11 & 7, 6);  // neither operand was popped
}

TEST(X87, ControlInstructionsDoNotWait) {
  X87Machine m;
  m.trap_exceptions();
  m.state().cr0 |= x86::kCr0Ne;
  m.put<uint16_t>(kControlWord, 0x37b);
  m.run_code({FLDCW, FLD1, FLDZ, FDIVP, FNSTSW_AX, FNCLEX, FLD1});
  EXPECT_EQ(m.exception(), kNothing);
  EXPECT_EQ(m.state().fpu.status & 0x80ff, 0);
}

TEST(X87, MmxWaitsToo) {
  X87Machine m;
  m.trap_exceptions();
  m.state().cr0 |= x86::kCr0Ne;
  m.put<uint16_t>(kControlWord, 0x37b);
  m.run_code({FLDCW, FLD1, FLDZ, FDIVP, 0x0f, 0x77});
  EXPECT_EQ(m.exception(), kX87Error);
}

/// A bus that turns FERR# into an interrupt, as a PC does with IRQ 13.
struct FerrBus : TestBus {
  void set_ferr(unsigned vcpu, bool level) override {
    TestBus::set_ferr(vcpu, level);
    if (!level) return;
    interrupts.push_back(0x75);
    cpu->set_interrupt_request(true);
  }
};

struct FerrMachine {
  explicit FerrMachine(uint32_t eflags) : vcpu(CoreEnvironment{m.map, m.ports, bus, model}) {
    m.trap_exceptions();
    m.put<uint16_t>(kControlWord, 0x37b);
    bus.cpu = &vcpu;
    m.load_code({FLDCW, FLD1, FLDZ, FDIVP, FLD1});
    vcpu.state() = m.state();
    vcpu.state().eflags = eflags;
    vcpu.state_changed();
  }
  X87Machine m;
  CpuModel model = CpuModel::create("max").value();
  FerrBus bus;
  Vcpu vcpu;
};

// SDM Vol. 1, "MS-DOS Compatibility Sub-mode".
TEST(X87, FerrInterruptsBeforeTheWaitingInstruction) {
  FerrMachine ferr(0x202);
  EXPECT_EQ(ferr.vcpu.run(1000).reason, ExitReason::Halted);
  const CpuState& state = ferr.vcpu.state();
  EXPECT_EQ(state.eip, TestMachine::kHandlers + 0x75 + 1);
  EXPECT_EQ(ferr.m.at<uint32_t>(state.gpr[x86::kEsp]), TestMachine::kCode + 12);
  EXPECT_TRUE(ferr.bus.ferr);
  EXPECT_EQ(state.fpu.status >> 11 & 7, 6);

  // The handler asserts IGNNE# and clears the error: FERR# goes away.
  ferr.vcpu.set_ignne();
  ferr.m.write(TestMachine::kHandlers + 0x76, {FLD1, FNCLEX, 0xf4});
  ferr.vcpu.state().activity = Activity::Running;
  ferr.vcpu.state_changed();
  EXPECT_EQ(ferr.vcpu.run(1000).reason, ExitReason::Halted);
  EXPECT_FALSE(ferr.bus.ferr);
  EXPECT_EQ(state.fpu.status >> 11 & 7, 5);  // FLD1 was executed all the same
  EXPECT_EQ(state.fpu.status & 0x80, 0);
  EXPECT_EQ(state.fpu.control, 0x37b);
}

TEST(X87, FerrAndIgnneAreSaved) {
  FerrMachine before(0x202), after(0x202);
  ASSERT_EQ(before.vcpu.run(1000).reason, ExitReason::Halted);
  before.vcpu.set_ignne();
  StateArchive saving;
  before.vcpu.serialize(saving);
  StateArchive loading(saving.data());
  after.vcpu.serialize(loading);
  ASSERT_TRUE(loading.status());
  // Another error is ignored, and clearing them lets go of FERR#.
  after.bus.ferr = true;
  after.m.write(TestMachine::kHandlers + 0x76, {FLD1, FNCLEX, 0xf4});
  after.vcpu.state().activity = Activity::Running;
  after.vcpu.state_changed();
  EXPECT_EQ(after.vcpu.run(1000).reason, ExitReason::Halted);
  EXPECT_FALSE(after.bus.ferr);
  EXPECT_TRUE(after.bus.interrupts.empty());
  EXPECT_EQ(after.vcpu.state().fpu.status >> 11 & 7, 5);
}

TEST(X87, FerrWithInterruptsOffDoesNotStopTheProcessor) {
  FerrMachine ferr(0x002);
  EXPECT_EQ(ferr.vcpu.run(1000).reason, ExitReason::Halted);
  EXPECT_EQ(ferr.vcpu.state().eip, TestMachine::kCode + 15);
  EXPECT_TRUE(ferr.bus.ferr);
  EXPECT_EQ(ferr.vcpu.state().fpu.status >> 11 & 7, 5);
  EXPECT_NE(ferr.vcpu.state().fpu.status & 0x80, 0);
}

TEST(X87, StateIsCompleteBetweenRuns) {
  X87Machine m;
  m.run_code({FLD1, FLDZ});
  const FloatingPointState& fpu = m.state().fpu;
  EXPECT_EQ(fpu.status >> 11 & 7, 6);
  EXPECT_EQ(fpu.tag, 0x1fff);  // R7 valid, R6 zero
  EXPECT_EQ(fpu.registers[7][9], 0x3f);
  m.state().fpu.registers[6] = fpu.registers[7];  // a debugger's doing
  m.run_code({0xde, 0xc1});                       // faddp: 1 + 1
  EXPECT_EQ(m.state().fpu.registers[7][9], 0x40);
}

TEST(X87, ImpossibleSavedStateIsPutInOrder) {
  X87Machine m;
  FloatingPointState& fpu = m.state().fpu;
  fpu.control = 0xffff;
  fpu.status = 0xffff;
  fpu.mxcsr = 0xffffffff;
  m.state().cr4 |= x86::kCr4Osfxsr;
  EXPECT_EQ(m.run_code({FLD1, 0x0f, 0x58, 0xc1}).reason, ExitReason::Halted);
  EXPECT_EQ(fpu.control, 0x1f7f);
  EXPECT_EQ(fpu.mxcsr & 0xffff0000, 0u);
}

// Also where the host's processor has another bit (AMD's misaligned mode).
TEST(X87, MxcsrHasSixteenBits) {
  for (unsigned bit = 16; bit < 32; ++bit) {
    X87Machine m;
    m.trap_exceptions();
    m.state().cr4 |= x86::kCr4Osfxsr;
    m.put<uint32_t>(TestMachine::kData + 16, 0x1f80 | 1u << bit);
    m.run_code({0x0f, 0xae, 0x15, 0x10, 0x00, 0x02, 0x00});  // ldmxcsr
    EXPECT_EQ(m.exception(), 13) << bit;
  }
}

TEST(X87, UnmaskedOverflowSuppressesTheStore) {
  X87Machine m;
  m.trap_exceptions();
  m.state().cr0 |= x86::kCr0Ne;
  m.put<uint16_t>(kControlWord, 0x377);  // overflow unmasked
  m.put<uint32_t>(TestMachine::kData + 16, 0xdeadbeef);
  FloatingPointState& fpu = m.state().fpu;
  fpu.status = 0x3800;
  fpu.tag = 0x3fff;
  fpu.registers[7] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xfe, 0x7f};     // far beyond single precision
  m.run_code({FLDCW, 0xd9, 0x1d, 0x10, 0x00, 0x02, 0x00, 0x9b});  // fstp dword; fwait
  EXPECT_EQ(m.exception(), kX87Error);
  EXPECT_EQ(m.at<uint32_t>(TestMachine::kData + 16), 0xdeadbeefu);
  EXPECT_EQ(m.state().fpu.status >> 11 & 7, 7);  // not popped
}

}  // namespace
}  // namespace vitrine::cpu
