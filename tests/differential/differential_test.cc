// The host is the oracle: every form of the instruction table runs with random state natively and in the
// interpreter, and both must agree on registers, flags, memory, x87 and SSE state, and faults.
//
//   differential_test [--seed N] [--seconds N] [--bytes-seconds N] [--only TEXT] [--failures N]
//
// The seed is printed; the same seed and options give the same cases (environment: VITRINE_SEED). --only
// takes forms whose name contains TEXT.
#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "cpu/vex_forms.h"
#include "differential/comparison.h"
#include "differential/decoder_finder.h"
#include "differential/forms.h"
#include "differential/generator.h"
#include "differential/interpreted_machine.h"
#include "differential/native_machine.h"

namespace vitrine::differential {
namespace {

constexpr size_t kBatch = 128;
constexpr size_t kFormsPromised = 500;
using Clock = std::chrono::steady_clock;

struct Options {
  uint64_t seed = 1;
  double seconds = 12;
  double bytes_seconds = 4;
  std::string only;
  unsigned failures = 20;
};

struct Tally {
  uint64_t cases = 0, skipped = 0, only_once = 0;
  std::map<std::string, unsigned> failures;  // by form
};

class Test {
 public:
  explicit Test(const Options& options)
      : options_(options),
        finder_(machine_.model()),
        forms_(find_forms(finder_)),
        generator_(forms_, options.seed) {}

  int run() {
    fmt::print("seed {}; {} forms in {} encodings; not executed:\n", options_.seed, forms_.distinct,
               forms_.encodings.size());
    for (const auto& [operation, reason] : forms_.excluded) fmt::print("  {}: {}\n", operation, reason);
    if (forms_.distinct < kFormsPromised) {
      fmt::print("FAILED: fewer than {} forms\n", kFormsPromised);
      return 1;
    }
    run_forms();
    const uint64_t with_forms = tally_.cases;
    run_bytes();
    fmt::print("{} cases of known forms, {} of random bytes ({} left out)\n", with_forms,
               tally_.cases - with_forms, tally_.skipped);
    if (tally_.only_once != 0)
      fmt::print("{} answers of the host's that it did not give again\n", tally_.only_once);
    for (const auto& [form, count] : tally_.failures) fmt::print("FAILED {} times: {}\n", count, form);
    return tally_.failures.empty() ? 0 : 1;
  }

 private:
  [[nodiscard]] bool wanted(const Form& form) const {
    return options_.only.empty() || form.name().find(options_.only) != std::string::npos;
  }

  // Round after round over all forms, so that each has had its cases when time is up.
  void run_forms() {
    const auto end = Clock::now() + std::chrono::duration<double>(options_.seconds);
    std::vector<TestCase> cases;
    bool first_round = true;
    while (first_round || Clock::now() < end) {
      for (unsigned n = 0; n < forms_.encodings.size(); ++n) {
        if (!wanted(forms_.encodings[n])) continue;
        for (unsigned repeat = 0; repeat < 8; ++repeat) cases.push_back(generator_.make(n));
        if (cases.size() >= kBatch) run_batch(cases, false);
      }
      run_batch(cases, false);
      first_round = false;
    }
  }

  void run_bytes() {
    if (!options_.only.empty()) return;
    const auto end = Clock::now() + std::chrono::duration<double>(options_.bytes_seconds);
    std::vector<TestCase> cases;
    while (Clock::now() < end) {
      TestCase test = generator_.make_bytes();
      if (!may_run(test)) {
        ++tally_.skipped;
        continue;
      }
      cases.push_back(test);
      if (cases.size() >= kBatch) run_batch(cases, true);
    }
    run_batch(cases, true);
  }

  // Random bytes may be anything: system calls, far transfers, what only the host has.
  bool may_run(TestCase& test) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecodedInstruction zydis;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, test.bytes.data(), 15, &zydis))) {
      return !looks_extended(test);
    }
    const cpu::Instruction i = finder_.decode(test.bytes.data(), 15);
    if (zydis.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        zydis.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
      return false;
    if (i.operation == cpu::Operation::Invalid) return false;  // an extension that the model does not have
    if (zydis.mnemonic == ZYDIS_MNEMONIC_SYSCALL || zydis.mnemonic == ZYDIS_MNEMONIC_SYSENTER) return false;
    if (i.operation == cpu::Operation::Int && i.immediate == 0x80) return false;
    if ((zydis.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS) != 0) return false;
    if (reason_to_exclude(i.operation) != nullptr) return false;
    const bool string =
        zydis.meta.category == ZYDIS_CATEGORY_STRINGOP || zydis.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
    const bool repeated = string && (i.prefixes & (cpu::kPrefixRep | cpu::kPrefixRepne)) != 0;
    test.repeats = repeated || cpu::is_gather(i.operation);
    return true;
  }

  // Bytes that Zydis rejects in maps where newer processors go on adding instructions.
  static bool looks_extended(const TestCase& test) {
    unsigned at = 0;
    while (at < 14 &&
           std::strchr("\x66\xf2\xf3\xf0\x2e\x67\x26\x36\x3e\x64\x65", test.bytes[at]) != nullptr &&
           test.bytes[at] != 0)
      ++at;
    if (test.bytes[at] == 0xc4 || test.bytes[at] == 0xc5) return test.bytes[at + 1] >= 0xc0;
    if (test.bytes[at] != 0x0f) return false;
    const uint8_t opcode = test.bytes[at + 1];
    return opcode == 0x38 || opcode == 0x3a || (opcode == 0x01 && test.bytes[at + 2] >= 0xc0);
  }

  void run_batch(std::vector<TestCase>& cases, bool bytes) {
    static std::vector<Outcome> host(2 * kBatch), ours(2 * kBatch);
    const std::vector<uint8_t> data = generator_.make_data();
    NativeMachine::run(cases, host, data);
    machine_.run(cases, ours, data);
    for (size_t n = 0; n < cases.size(); ++n) {
      ++tally_.cases;
      std::string found = compare(cases[n], host[n], ours[n]);
      if (!found.empty()) found = compare_again(cases[n], host[n], ours[n], data);
      if (!found.empty()) report(cases[n], found, bytes);
    }
    cases.clear();
  }

  std::string compare(const TestCase& test, const Outcome& host, const Outcome& ours) {
    const cpu::Operation operation = finder_.decode(test.bytes.data(), 15).operation;
    return difference(test, host, ours, operation, undefined_flags(operation));
  }

  // An answer of the host's that it does not give again is none. On Zen 3 a process that is switched away
  // while its x87 unit is as FNINIT leaves it, but for the pointers, finds these cleared: to XSAVES the
  // component is not in use.
  std::string compare_again(const TestCase& test, const Outcome& first, const Outcome& ours,
                            const std::vector<uint8_t>& data) {
    std::vector<Outcome> host{first};
    std::string found;
    for (unsigned n = 0; n < 2; ++n) {
      NativeMachine::run({&test, 1}, host, data);
      found = compare(test, host[0], ours);
      if (!found.empty()) continue;
      ++tally_.only_once;
      break;
    }
    return found;
  }

  void report(const TestCase& test, const std::string& found, bool bytes) {
    const cpu::Instruction i = finder_.decode(test.bytes.data(), 15);
    const Form* const form = bytes ? nullptr : &forms_.encodings[test.form];
    const std::string name =
        form != nullptr ? form->name() : fmt::format("random bytes, {}", cpu::name(i.operation));
    if (tally_.failures[name]++ > 0 || tally_.failures.size() > options_.failures) return;
    fmt::print("--- {}\n{}{}", name, describe(test), found);
  }

  Options options_;
  InterpretedMachine machine_;
  DecoderFinder finder_;
  Forms forms_;
  Generator generator_;
  Tally tally_;
};

int main(int argc, char** argv) {
  Options options;
  if (const char* seed = std::getenv("VITRINE_SEED")) options.seed = std::strtoull(seed, nullptr, 0);
  for (int n = 1; n + 1 < argc; n += 2) {
    const std::string_view option = argv[n];
    if (option == "--seed")
      options.seed = std::strtoull(argv[n + 1], nullptr, 0);
    else if (option == "--seconds")
      options.seconds = std::atof(argv[n + 1]);
    else if (option == "--bytes-seconds")
      options.bytes_seconds = std::atof(argv[n + 1]);
    else if (option == "--only")
      options.only = argv[n + 1];
    else if (option == "--failures")
      options.failures = static_cast<unsigned>(std::atoi(argv[n + 1]));
    else {
      fmt::print(stderr, "differential_test: unknown option {}\n", option);
      return 2;
    }
  }
  if (const std::string reason = NativeMachine::prepare(); !reason.empty()) {
    fmt::print("SKIPPED: {}\n", reason);
    return 77;
  }
  return Test(options).run();
}

}  // namespace
}  // namespace vitrine::differential

int main(int argc, char** argv) {
  return vitrine::differential::main(argc, argv);
}
