// Every exception that an instruction can raise, from user and from supervisor mode: vector, error code,
// pushed EIP and EFLAGS, CR2 are what the manual says, and everything is as without the engine. In the middle
// of a block, behind a jump, across a page's end; not translated yet and translated already. SDM Vol. 3A,
// "Exception and Interrupt Reference"; on RF "Masking Instruction Breakpoints".
#include <fmt/format.h>

#include <array>
#include <optional>

#include "engines/engine_comparison.h"
#include "x86/control_registers.h"
#include "x86/flags.h"
#include "x86/vectors.h"

namespace vitrine::engines {
namespace {

using differential::kGdt, differential::kHandlers, differential::kIdt, differential::kTss;
using x86::Vector;

/// What the pushed EIP and RF are.
enum class Kind : uint8_t {
  Fault,       ///< The instruction, RF set.
  Breakpoint,  ///< The instruction, RF as it was.
  Trap,        ///< Behind the instruction, RF clear.
  Abort,       ///< Not said.
};

struct Row {
  std::string name;
  Code before;   ///< Runs first…
  Code raising;  ///< …then this, one instruction.
  uint8_t vector = 0;
  Kind kind = Kind::Fault;
  std::optional<uint32_t> error;
  uint32_t cr2 = 0;
  uint32_t eip = 0;       ///< Not 0: instead of what `kind` says.
  bool adjacent = false;  ///< Nothing may stand between the two.
  Program with;           ///< What it says besides code and registers.
};

uint8_t number(Vector vector) {
  return static_cast<uint8_t>(vector);
}

// pushf; or dword [esp], flags; popf
Code set_flags(uint32_t flags) {
  return Code{0x9c, 0x81, 0x0c, 0x24}.word(flags).add({0x9d});
}

uint32_t high_of_gate(uint8_t vector, uint32_t attributes) {
  return ((kHandlers + vector) & 0xffff0000) | attributes;
}

class Rows {
 public:
  /// For an instruction at `address`.
  Rows(bool user, uint32_t address) : user_(user), address_(address) {
    arithmetic();
    debug();
    undefined();
    segments();
    protection();
    pages();
    floating_point();
    software();
  }
  [[nodiscard]] const std::vector<Row>& all() const { return rows_; }

 private:
  Row& add(const char* name, Vector vector, Code before, Code raising) {
    Row row;
    row.name = name;
    row.before = std::move(before);
    row.raising = std::move(raising);
    row.vector = number(vector);
    if (x86::pushes_error_code(vector)) row.error = 0;
    return rows_.emplace_back(std::move(row));
  }
  // What only a supervisor may: directly, or in the handler of INT 80h.
  void as_supervisor(Row& row, Code code) const {
    row.before = code;
    if (!user_) return;
    row.before = {0xcd, 0x80};
    row.with.system_call = code.add({0xcf});
  }

  void arithmetic() {
    add("div", Vector::DivideError, {0x31, 0xc9}, {0xf7, 0xf1});
    add("idiv", Vector::DivideError, Code().mov(x86::kEax, 0x80000000).add({0x99, 0x83, 0xc9, 0xff}),
        {0xf7, 0xf9});
    add("div m8", Vector::DivideError, {}, {0xf6, 0x36});
    add("aam 0", Vector::DivideError, {}, {0xd4, 0x00});
    add("into", Vector::Overflow, Code().mov(x86::kEax, 0x7fffffff).add({0x40}), {0xce}).kind = Kind::Trap;
    add("bound", Vector::BoundRange, Code().mov(x86::kEax, 8), {0x62, 0x06});
  }

  void debug() {
    add("int1", Vector::Debug, {}, {0xf1}).kind = Kind::Trap;
    for (const Code& code : {Code{0x90}, Code{0x89, 0x06}, Code{0xf3, 0xae}}) {
      Row& row = add("trap flag", Vector::Debug, set_flags(x86::kTf), code);
      row.kind = Kind::Trap;
      row.adjacent = true;
    }
    // mov dr0, eax; mov eax, …; mov dr7, eax
    const auto watch = [](uint32_t address, uint32_t control) {
      return Code()
          .mov(x86::kEax, address)
          .add({0x0f, 0x23, 0xc0})
          .mov(x86::kEax, control)
          .add({0x0f, 0x23, 0xf8});
    };
    Row& data = add("data breakpoint", Vector::Debug, {}, {0x89, 0x06});
    as_supervisor(data, watch(kDataBase + 0x100, 0xd0003));
    data.kind = Kind::Trap;
    Row& instruction = add("instruction breakpoint", Vector::Debug, {}, {0x89, 0x06});
    as_supervisor(instruction, watch(address_, 3));
    instruction.kind = Kind::Breakpoint;
    Row& access = add("general detect", Vector::Debug, {}, {0x0f, 0x21, 0xc0});
    as_supervisor(access, Code().mov(x86::kEax, 0x2000).add({0x0f, 0x23, 0xf8}));
    if (user_) access.vector = number(Vector::GeneralProtection), access.error = 0;
  }

  void undefined() {
    add("ud2", Vector::InvalidOpcode, {}, {0x0f, 0x0b});
    add("ud1", Vector::InvalidOpcode, {}, {0x0f, 0xb9, 0xc0});
    add("lock mov", Vector::InvalidOpcode, {}, {0xf0, 0x89, 0x06});
    add("lock add to a register", Vector::InvalidOpcode, {}, {0xf0, 0x01, 0xc0});
    add("lea of a register", Vector::InvalidOpcode, {}, {0x8d, 0xc0});
    add("mov to cs", Vector::InvalidOpcode, {}, {0x8e, 0xc8});
    add("xorps without OSFXSR", Vector::InvalidOpcode, {}, {0x0f, 0x57, 0xc0}).with.cr4_clear =
        x86::kCr4Osfxsr;
    add("xorps with EM", Vector::InvalidOpcode, {}, {0x0f, 0x57, 0xc0}).with.cr0_set = x86::kCr0Em;
    add("fld1 with TS", Vector::DeviceNotAvailable, {}, {0xd9, 0xe8}).with.cr0_set = x86::kCr0Ts;
    add("fld1 with EM", Vector::DeviceNotAvailable, {}, {0xd9, 0xe8}).with.cr0_set = x86::kCr0Em;
    add("xorps with TS", Vector::DeviceNotAvailable, {}, {0x0f, 0x57, 0xc0}).with.cr0_set = x86::kCr0Ts;
    add("paddb with TS", Vector::DeviceNotAvailable, {}, {0x0f, 0xfc, 0xc0}).with.cr0_set = x86::kCr0Ts;
    add("fwait with TS", Vector::DeviceNotAvailable, {}, {0x9b}).with.cr0_set = x86::kCr0Ts;
  }

  void segments() {
    const uint32_t absent_data = user_ ? 0x00cf7300 : 0x00cf1300;
    const auto free = [&](Row& row) {
      row.with.tables = {{kGdt + kFreeSelector, 0xffff}, {kGdt + kFreeSelector + 4, absent_data}};
      row.error = kFreeSelector;
    };
    const uint32_t selector = kFreeSelector | (user_ ? 3 : 0);
    free(
        add("mov ds, not present", Vector::SegmentNotPresent, Code().mov(x86::kEax, selector), {0x8e, 0xd8}));
    free(add("pop fs, not present", Vector::SegmentNotPresent, Code().mov(x86::kEax, selector).add({0x50}),
             {0x0f, 0xa1}));
    free(add("mov ss, not present", Vector::StackFault, Code().mov(x86::kEax, selector), {0x8e, 0xd0}));
    free(add("pop ss, not present", Vector::StackFault, Code().mov(x86::kEax, selector).add({0x50}), {0x17}));
    Row& gate = add("gate not present", Vector::SegmentNotPresent, {}, {0xcd, 0x80});
    gate.with.tables = {{kIdt + 0x80 * 8 + 4, high_of_gate(0x80, 0x6e00)}};
    gate.error = 0x80 * 8 + 2;
    // A nested task's return, to what is no task: SDM Vol. 2A, "IRET".
    Row& task = add("iret to no task", Vector::InvalidTss, set_flags(x86::kNt), {0xcf});
    task.with.tables = {{kTss, differential::kKernelData}};
    task.error = differential::kKernelData;
    add("mov ds beyond the table", Vector::GeneralProtection, Code().mov(x86::kEax, 0x48), {0x8e, 0xd8})
        .error = 0x48;
    // Another fault on the way to the handler: SDM Vol. 3A, table "Conditions for Generating a Double Fault".
    Row& twice = add("double fault", Vector::DoubleFault, {}, Code{0xa1}.word(kAbsentPage));
    twice.with.tables = {{kIdt + 14 * 8 + 4, high_of_gate(14, 0x0e00)}};
    twice.kind = Kind::Abort;
    twice.cr2 = kAbsentPage;
  }

  void protection() {
    constexpr auto kGp = Vector::GeneralProtection;
    if (user_) {
      for (const auto& [name, code] :
           std::initializer_list<std::pair<const char*, Code>>{{"cli", {0xfa}},
                                                               {"sti", {0xfb}},
                                                               {"hlt", {0xf4}},
                                                               {"mov cr0", {0x0f, 0x22, 0xc0}},
                                                               {"mov from cr0", {0x0f, 0x20, 0xc0}},
                                                               {"in", {0xe4, 0x50}},
                                                               {"out dx", {0xee}},
                                                               {"insb", {0x6c}},
                                                               {"outsd", {0x6f}},
                                                               {"rdmsr", {0x0f, 0x32}},
                                                               {"wrmsr", {0x0f, 0x30}},
                                                               {"wbinvd", {0x0f, 0x09}},
                                                               {"invlpg", {0x0f, 0x01, 0x3e}},
                                                               {"lgdt", {0x0f, 0x01, 0x16}},
                                                               {"lidt", {0x0f, 0x01, 0x1e}},
                                                               {"lldt", {0x0f, 0x00, 0xd0}},
                                                               {"ltr", {0x0f, 0x00, 0xd8}},
                                                               {"lmsw", {0x0f, 0x01, 0xf0}},
                                                               {"clts", {0x0f, 0x06}},
                                                               {"sysexit", {0x0f, 0x35}}})
        add(name, kGp, {}, code);
      add("int 21h", kGp, {}, {0xcd, 0x21}).error = 0x21 * 8 + 2;
    } else {
      add("mov cr4, reserved", kGp, Code().mov(x86::kEax, 0x80000000), {0x0f, 0x22, 0xe0});
      add("mov cr0, PG without PE", kGp, Code().mov(x86::kEax, 0x80000000), {0x0f, 0x22, 0xc0});
      add("rdmsr of nothing", kGp, Code().mov(x86::kEcx, 0x12345678), {0x0f, 0x32});
    }
    add("beyond the limit of FS", kGp, {}, Code{0x64, 0xa1}.word(0x100)).with.fs_limit = 0xff;
    add("store to a segment to be read", kGp, {}, {0x89, 0x06}).with.ds_attributes =
        user_ ? 0x00c0f100 : 0x00c09100;
    add("movaps, not aligned", kGp, {}, {0x0f, 0x28, 0x46, 0x01});
    add("movaps to memory, not aligned", kGp, {}, {0x0f, 0x29, 0x46, 0x08});
  }

  void pages() {
    const uint32_t by_user = user_ ? 4 : 0;
    const auto page_fault = [&](const char* name, const Code& before, const Code& raising, uint32_t cr2,
                                uint32_t error) -> Row& {
      Row& row = add(name, Vector::PageFault, before, raising);
      row.cr2 = cr2;
      row.error = error | by_user;
      return row;
    };
    page_fault("load, absent", {}, Code{0xa1}.word(kAbsentPage + 4), kAbsentPage + 4, 0);
    page_fault("store, absent", {}, Code{0xa3}.word(kAbsentPage + 8), kAbsentPage + 8, 2);
    page_fault("inc, absent", {}, Code{0xff, 0x05}.word(kAbsentPage + 8), kAbsentPage + 8, 2);
    page_fault("no page table", {}, Code{0xa1}.word(0x77001234), 0x77001234, 0);
    page_fault("store, read-only", {}, Code{0xa3}.word(kReadOnlyPage), kReadOnlyPage, 3);
    page_fault("load, across", {}, Code{0xa1}.word(kAbsentPage - 2), kAbsentPage, 0);
    page_fault("store, across", {}, Code{0xa3}.word(kReadOnlyPage - 1), kReadOnlyPage, 3);
    page_fault("fld m80, across", {}, Code{0xdb, 0x2d}.word(kAbsentPage - 9), kAbsentPage, 0);
    page_fault("movups, across", {}, Code{0x0f, 0x10, 0x05}.word(kAbsentPage - 15), kAbsentPage, 0);
    page_fault("push from memory", {}, Code{0xff, 0x35}.word(kAbsentPage), kAbsentPage, 0);
    page_fault("pop to memory", {0x50}, Code{0x8f, 0x05}.word(kAbsentPage), kAbsentPage, 2);
    page_fault("call through memory", {}, Code{0xff, 0x15}.word(kAbsentPage), kAbsentPage, 0);
    page_fault("movsb, source", Code().mov(x86::kEsi, kAbsentPage), {0xa4}, kAbsentPage, 0);
    page_fault("rep stosd, destination", Code{0xfc}.mov(x86::kEdi, kReadOnlyPage - 12).mov(x86::kEcx, 9),
               {0xf3, 0xab}, kReadOnlyPage, 3);
    const Code to_absent = Code().mov(x86::kEax, kAbsentPage + 3);
    page_fault("jmp, absent", to_absent, {0xff, 0xe0}, kAbsentPage + 3, 0).eip = kAbsentPage + 3;
    page_fault("call, absent", to_absent, {0xff, 0xd0}, kAbsentPage + 3, 0).eip = kAbsentPage + 3;
    page_fault("ret, absent", Code(to_absent).add({0x50}), {0xc3}, kAbsentPage + 3, 0).eip = kAbsentPage + 3;
    if (user_) {
      page_fault("load, supervisor's", {}, Code{0xa1}.word(kSupervisorPage), kSupervisorPage, 1);
      page_fault("store, supervisor's", {}, Code{0xa3}.word(kSupervisorPage), kSupervisorPage, 3);
      const Code there = Code().mov(x86::kEax, kSupervisorPage);
      page_fault("jmp, supervisor's", there, {0xff, 0xe0}, kSupervisorPage, 1).eip = kSupervisorPage;
      page_fault("push, absent", Code().mov(x86::kEsp, kAbsentPage + 4), {0x50}, kAbsentPage, 2);
      page_fault("push, across", Code().mov(x86::kEsp, kReadOnlyPage + 2), {0x50}, kReadOnlyPage, 3);
      page_fault("pop, absent", Code().mov(x86::kEsp, kAbsentPage), {0x58}, kAbsentPage, 0);
    }
  }

  void floating_point() {
    // push 37bh; fldcw [esp]; fldz; fld1; fdiv st, st1: one by zero, not masked.
    const Code divided{0x68, 0x7b, 0x03, 0x00, 0x00, 0xd9, 0x2c, 0x24, 0xd9, 0xee, 0xd9, 0xe8, 0xd8, 0xf1};
    add("fwait", Vector::X87FloatingPoint, divided, {0x9b});
    add("fld1 behind", Vector::X87FloatingPoint, divided, {0xd9, 0xe8});
    add("fstp m64 behind", Vector::X87FloatingPoint, divided, {0xdd, 0x1f});
    add("paddb behind", Vector::X87FloatingPoint, divided, {0x0f, 0xfc, 0xc0});
    if (user_) {
      for (const auto& [name, code] : std::initializer_list<std::pair<const char*, Code>>{
               {"mov, not aligned", {0x8b, 0x46, 0x01}},
               {"mov to memory, not aligned", {0x66, 0x89, 0x46, 0x03}},
               {"push, not aligned", {0x50}},
               {"fld m64, not aligned", {0xdd, 0x46, 0x04}}}) {
        const Code odd_stack = code.size() == 1 ? Code{0x44} : Code{};
        add(name, Vector::AlignmentCheck, set_flags(x86::kAc).add(odd_stack), code).with.cr0_set =
            x86::kCr0Am;
      }
    }
    // push 1d00h; ldmxcsr [esp]; xorps xmm0, xmm0: zero by zero, not masked.
    const Code unmasked{0x68, 0x00, 0x1d, 0x00, 0x00, 0x0f, 0xae, 0x14, 0x24, 0x0f, 0x57, 0xc0};
    // push; ldmxcsr [esp]: bits that no guest's MXCSR has, one of which (17) the host's may have.
    for (const uint8_t bit : {1, 2, 4})
      add("ldmxcsr", Vector::GeneralProtection, {0x68, 0x80, 0x1f, bit, 0x00}, {0x0f, 0xae, 0x14, 0x24});
    add("divss", Vector::SimdFloatingPoint, unmasked, {0xf3, 0x0f, 0x5e, 0xc0});
    add("divps", Vector::SimdFloatingPoint, unmasked, {0x0f, 0x5e, 0xc0});
    add("divss without OSXMMEXCPT", Vector::InvalidOpcode, unmasked, {0xf3, 0x0f, 0x5e, 0xc0})
        .with.cr4_clear = x86::kCr4Osxmmexcpt;
  }

  void software() {
    const auto interrupt = [&](const char* name, uint8_t vector, const Code& raising) -> Row& {
      Row& row = add(name, Vector::Breakpoint, {}, raising);
      row.vector = vector;
      row.kind = Kind::Trap;
      return row;
    };
    interrupt("int3", 3, {0xcc});
    interrupt("int 3", 3, {0xcd, 0x03});
    interrupt("int 4", 4, {0xcd, 0x04});
    interrupt("int 80h", 0x80, {0xcd, 0x80});
    interrupt("int 80h, trap gate", 0x80, {0xcd, 0x80}).with.tables = {
        {kIdt + 0x80 * 8 + 4, high_of_gate(0x80, 0xef00)}};
    // Without an error code, whatever the vector's exception pushes.
    const Code page_fault{0xcd, 0x0e};
    interrupt("int 0eh", 0x0e, page_fault).with.tables = {{kIdt + 14 * 8 + 4, high_of_gate(14, 0xee00)}};
    if (!user_) interrupt("int 21h", 0x21, {0xcd, 0x21});
  }

  bool user_;
  uint32_t address_;
  std::vector<Row> rows_;
};

class Exceptions : public EngineComparison {
 protected:
  void run_rows(uint32_t at, bool jump) {
    const Rows rows(user(), kCodeBase + at);
    for (const Row& row : rows.all()) {
      for (const uint32_t flags : {0x202u, 0xad7u, 0x10602u}) {
        for (const char* time : {"first", "again"}) {
          const std::string what = fmt::format("{}, at {:x}, flags {:x}, {}", row.name, at, flags, time);
          run_row(row, at, jump, flags, what);
        }
      }
    }
  }

 private:
  void run_row(const Row& row, uint32_t at, bool jump, uint32_t flags, const std::string& what) {
    const auto before = static_cast<uint32_t>(row.before.size());
    ASSERT_LE(before + 5, at);
    Code code = row.adjacent ? Code{} : row.before;
    const uint32_t pad_to = row.adjacent ? at - before : at;
    if (jump) code.add({0xe9}).word(pad_to - static_cast<uint32_t>(code.size()) - 4);
    while (code.size() < pad_to) code.add({0x90});
    if (row.adjacent) code.add(row.before);
    code.add(row.raising);
    Program wanted = program(code);
    wanted.state.eflags = flags;
    wanted.cr0_set = row.with.cr0_set;
    wanted.cr4_clear = row.with.cr4_clear;
    wanted.fs_limit = row.with.fs_limit;
    wanted.ds_attributes = row.with.ds_attributes;
    wanted.system_call = row.with.system_call;
    wanted.tables = row.with.tables;
    const Ending ending = compare(wanted, 0, what);
    check(row, at, ending, what);
  }

  void check(const Row& row, uint32_t at, const Ending& ending, const std::string& what) {
    ASSERT_EQ(ending.reason, cpu::ExitReason::Halted) << what;
    EXPECT_EQ(ending.state.eip, kHandlers + row.vector + 1) << what << ": " << native_->describe(ending);
    std::array<uint32_t, 4> frame{};
    ASSERT_TRUE(
        native_->read(ending.state.gpr[x86::kEsp], {reinterpret_cast<uint8_t*>(frame.data()), sizeof frame}));
    if (row.error) {
      EXPECT_EQ(frame[0], *row.error) << what;
      std::copy(frame.begin() + 1, frame.end(), frame.begin());
    }
    const uint32_t begin = kCodeBase + at, end = begin + static_cast<uint32_t>(row.raising.size());
    const uint32_t eip = row.eip != 0 ? row.eip : row.kind == Kind::Trap ? end : begin;
    EXPECT_EQ(frame[0], eip) << what;
    const bool rf = (frame[2] & x86::kRf) != 0;
    EXPECT_TRUE(row.kind == Kind::Abort || rf == (row.kind == Kind::Fault)) << what;
    EXPECT_EQ(ending.cr2, row.cr2) << what;
  }
};

TEST_P(Exceptions, InTheMiddleOfABlock) {
  run_rows(0x80, false);
}
TEST_P(Exceptions, BehindAJump) {
  run_rows(0x100, true);
}
TEST_P(Exceptions, AcrossThePageEnd) {
  run_rows(0xfff, true);
}

// Nothing is left to push the frame to.
TEST_P(Exceptions, NoStack) {
  Program wanted = program(Code().mov(x86::kEsp, kAbsentPage + 8).add(Code{0xa1}.word(kAbsentPage)));
  wanted.tables = {{kTss + 4, kAbsentPage + 8}};
  EXPECT_EQ(compare(wanted).reason, cpu::ExitReason::Shutdown);
}

// CR0.AM and EFLAGS.AC mean nothing below CPL 3.
TEST_P(Exceptions, SupervisorsAccessesNeedNotBeAligned) {
  if (user()) return;
  Program wanted = program(set_flags(x86::kAc).add({0x8b, 0x46, 0x01}));
  wanted.cr0_set = x86::kCr0Am;
  EXPECT_EQ(compare(wanted).state.eip, kHandlers + 3 + 1);
}

VITRINE_ALL_ENGINES(Exceptions);

}  // namespace
}  // namespace vitrine::engines
