// What running real systems in lockstep has found (docs/lockstep.md, "What it found"): each by itself.
#include <fmt/ranges.h>

#include "engines/engine_comparison.h"
#include "x86/control_registers.h"
#include "x86/flags.h"

namespace vitrine::engines {
namespace {

using differential::kHandlers;

class FoundInLockstep : public EngineComparison {};

// With CR0.NE clear an x87 error is an interrupt: FERR# at the next instruction that waits (which goes on
// here, where nobody takes the interrupt), and no longer behind FNCLEX. SDM Vol. 1, "MS-DOS Compatibility
// Sub-mode".
TEST_P(FoundInLockstep, X87ErrorsDriveFerr) {
  // push 37bh; fldcw [esp]; fldz; fld1; fdiv st, st1
  const Code divided{0x68, 0x7b, 0x03, 0x00, 0x00, 0xd9, 0x2c, 0x24, 0xd9, 0xee, 0xd9, 0xe8, 0xd8, 0xf1};
  const auto ferr_after = [&](std::initializer_list<uint8_t> more) {
    Program wanted = program(Code(divided).add(more));
    wanted.cr0_clear = x86::kCr0Ne;
    return compare(wanted).ferr;
  };
  EXPECT_FALSE(ferr_after({}));
  EXPECT_TRUE(ferr_after({0xd9, 0xe8}));
  EXPECT_TRUE(ferr_after({0x9b, 0x90}));
  EXPECT_FALSE(ferr_after({0xd9, 0xe8, 0xdb, 0xe2}));  // fnclex
  EXPECT_FALSE(ferr_after({0xd9, 0xe8, 0xdb, 0xe3}));  // fninit
  EXPECT_FALSE(ferr_after({0xdb, 0xe2, 0xd9, 0xe8}));
}

// Where the move of ESP is still pending, its value is not in the register. push (nop; nop; nop; int3); push
// 0; pop eax; call esp, jmp esp
TEST_P(FoundInLockstep, BranchesByEsp) {
  for (const uint8_t modrm : {0xd4, 0xe4}) {
    const Code code{0x68, 0x90, 0x90, 0x90, 0xcc, 0x6a, 0x00, 0x58, 0xff, modrm};
    compare(program(code));
  }
}

// The GDT lies where nothing is: the descriptor that translated code wants to compare cannot be read, and
// every register is as it was before. mov ecx, 12345678h; lgdt [esi]; push ds; pop ds
TEST_P(FoundInLockstep, DescriptorThatCannotBeReadLeavesEcx) {
  if (user()) return;  // LGDT is not its to use.
  Program wanted = program(Code().mov(x86::kEcx, 0x12345678).add({0x0f, 0x01, 0x16, 0x1e, 0x1f}));
  wanted.data = Code(std::vector<uint8_t>(0x100)).add({0xff, 0xff}).word(kAbsentPage);
  EXPECT_EQ(compare(wanted).reason, cpu::ExitReason::Shutdown);
}

// What FNSTENV tells of the last x87 instruction and its operand is the guest's: never a host address of
// translated code or of the interpreter's own use of the unit. Not every processor keeps them without a
// pending exception: then they are what FNINIT left. fninit; (fld1;) (fadd dword [esi];) fnstenv [edi];
// fnstenv [edi + 40h]
TEST_P(FoundInLockstep, X87PointersAreTheGuests) {
  const auto pointer = [](const EngineMachine& machine, uint32_t at) {
    uint32_t value = 0;
    EXPECT_TRUE(machine.read(kDataBase + at, {reinterpret_cast<uint8_t*>(&value), sizeof value}));
    return value;
  };
  for (const Code& used :
       {Code{}, Code{0xd9, 0xe8}, Code{0xd9, 0xe8, 0xd8, 0x06}, Code{0xd8, 0x06, 0xd9, 0xe8}}) {
    const Program wanted = program(Code{0xdb, 0xe3}.add(used).add({0xd9, 0x37, 0xd9, 0x77, 0x40}));
    const Ending expected = interpreted_.run(wanted, 1000);
    ASSERT_EQ(native_->run(wanted, 1000).reason, expected.reason);
    for (const uint32_t at : {0x40cu, 0x414u, 0x44cu, 0x454u}) {
      const uint32_t told = pointer(*native_, at);
      EXPECT_TRUE(told == 0 || told == pointer(interpreted_, at)) << fmt::format("{:#x}: {:#x}", at, told);
    }
  }
}

// The manual leaves OF undefined unless the count is 1; guests compare it nevertheless, and so does lockstep.
TEST_P(FoundInLockstep, OverflowFlagOfRotations) {
  const std::vector<uint8_t> forms[] = {{0xc1, 0xc0}, {0xc1, 0xc8}, {0xc1, 0x06},       {0xc1, 0x0e},
                                        {0xc0, 0xc0}, {0xc0, 0x0e}, {0x66, 0xc1, 0xc8}, {0x66, 0xc1, 0x06},
                                        {0xd3, 0xc0}, {0xd3, 0x0e}, {0xd2, 0x06},       {0x66, 0xd3, 0xc8}};
  for (const std::vector<uint8_t>& form : forms) {
    const bool by_immediate = (form[form.size() - 2] & 0x10) == 0;
    for (const uint8_t count : {0, 1, 2, 7, 8, 16, 31, 32, 33}) {
      for (const uint32_t flags : {0x202u, 0xa03u}) {
        for (const uint32_t value : {0x80000001u, 0x40004040u, 0xc0008081u}) {
          Code code(form);
          if (by_immediate) code.add({count});
          Program wanted = program(code);
          wanted.state.eflags = flags;
          wanted.state.gpr[x86::kEax] = value;
          wanted.state.gpr[x86::kEcx] = count;
          wanted.data = Code(std::vector<uint8_t>(0x100)).word(value);
          compare(wanted, 0,
                  fmt::format("{:02x}, count {}, flags {:x}, value {:x}", fmt::join(form, " "), count, flags,
                              value));
        }
      }
    }
  }
}

// The interpreter begins it, since the budget is not enough; translated code ends it; then it is over.
// SDM Vol. 3B, "Resume Flag": only an interrupt between two iterations pushes RF.
TEST_P(FoundInLockstep, InterruptBehindARepetitionPushesNoRf) {
  if (std::get<0>(GetParam()) != EngineUsed::Counted) return;
  const Code code = Code().mov(x86::kEcx, 100).add({0xf3, 0xa4, 0x40, 0x40});
  const auto pushed_flags = [&](std::vector<uint64_t> parts) {
    Program wanted = program(code);
    wanted.parts = std::move(parts);
    const Ending ending = compare(wanted);
    EXPECT_EQ(ending.state.eip, kHandlers + kInterruptVector + 1) << native_->describe(ending);
    uint32_t flags = 0;
    EXPECT_TRUE(
        native_->read(ending.state.gpr[x86::kEsp] + 8, {reinterpret_cast<uint8_t*>(&flags), sizeof flags}));
    return flags;
  };
  EXPECT_NE(pushed_flags({31}) & x86::kRf, 0u);
  EXPECT_EQ(pushed_flags({31, 70}) & x86::kRf, 0u);
  EXPECT_EQ(pushed_flags({31, 71}) & x86::kRf, 0u);
  EXPECT_EQ(pushed_flags({101}) & x86::kRf, 0u);
}

VITRINE_ALL_ENGINES(FoundInLockstep);

}  // namespace
}  // namespace vitrine::engines
