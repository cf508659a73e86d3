// Guest code that wants out (engines/hostile_program.h), translated by both policies and with counting, and
// executed. System calls from translated code kill the process (engines/call_ban.h); what was translated is
// verified (engines/verifier.h); where it may be compared, the end is the interpreter's. That each
// instruction executed stays inside is the tracer's to show (engines/traced_test.cc), with the same programs.
#include <fmt/format.h>

#include "base/check.h"
#include "engines/call_ban.h"
#include "engines/hostile_program.h"
#include "engines/verifier.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"

namespace vitrine::fuzz {
namespace {

using namespace engines;

struct Bench {
  EngineMachine interpreted{EngineUsed::None}, translated{EngineUsed::Translate},
      trapping{EngineUsed::Trap, {.faults_to_be_slow = 1}}, counted{EngineUsed::Counted};
  std::array<uint64_t, 3> verified{};  // units that were there when it was done last

  Bench() {
    if (!ban_system_calls({translated.engine(), trapping.engine(), counted.engine()}))
      fmt::print(stderr, "the host allows no seccomp filter: system calls are not watched\n");
  }
};

constexpr uint64_t kBudget = 3000, kKick = 100'000;
constexpr unsigned kKicks = 3;

std::string describe(const Program& program) {
  std::string text =
      fmt::format("\n  {} eip {:x} fs {:x} {:x} eflags {:x} cr0|{:x}\n ",
                  program.privilege == Privilege::User ? "user" : "supervisor", program.state.eip,
                  program.fs_base, program.fs_limit, program.state.eflags, program.cr0_set);
  for (const uint32_t value : program.state.gpr) text += fmt::format(" {:x}", value);
  for (const auto* bytes : {&program.code, &program.top, &program.bottom}) {
    text += "\n ";
    const size_t first = bytes == &program.code ? program.state.eip & 0x1fff : 0;
    for (size_t n = first; n < bytes->size(); ++n) text += fmt::format(" {:02x}", (*bytes)[n]);
  }
  return text + "\n";
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all;
  for (uint64_t n = 0; n < 256; ++n) all.push_back(noise(n, 60 + n));
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  using namespace vitrine::fuzz;
  static Bench bench;  // to make one takes longer than to run most programs
  FuzzInput input(data, size);
  Program program = hostile_program(input);
  program.most_kicks = kKicks;
  const Ending expected = bench.interpreted.run(program, kBudget);
  const bool compared = expected.reason != cpu::ExitReason::BudgetSpent && comparable(program);
  uint64_t* verified = bench.verified.data();
  for (EngineMachine* machine : {&bench.translated, &bench.trapping, &bench.counted}) {
    uint64_t& last = *verified++;
    const Ending ending = machine->run(program, kBudget, compared ? 0 : kKick);
    if (compared) {
      const std::string found = difference(bench.interpreted, expected, *machine, ending);
      CHECK(found.empty(), "{}{}", describe(program), found);
    }
    // All units are verified each time: so not each time.
    const uint64_t units = machine->engine()->cache().counters().units;
    if (units - last < 500) continue;
    last = units;
    const std::string found = verify_translations(*machine->engine());
    CHECK(found.empty(), "{}", found);
  }
  return 0;
}
