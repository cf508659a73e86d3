// Random instruction streams on two machines, one with a native engine and one without: they must end in the
// same state. Every form that the decoder knows, one at a time and in streams; a fault in every position of
// one; arbitrary bytes. Everything that was translated on the way is checked by the verifier. VITRINE_SEED
// and VITRINE_SECONDS change the seed and the time for each test; a failure prints the program.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "differential/comparison.h"
#include "differential/decoder_finder.h"
#include "differential/generator.h"
#include "engines/engine_comparison.h"
#include "x86/control_registers.h"
#include "x86/flags.h"
#include "x86/registers.h"

namespace vitrine::engines {
namespace {

using cpu::Operation;
using Clock = std::chrono::steady_clock;

bool one_of(Operation operation, std::initializer_list<Operation> list) {
  return std::ranges::find(list, operation) != list.end();
}

/// What would make a comparison meaningless or end every stream at CPL 0.
bool left_out(Operation operation) {
  return one_of(operation, {Operation::Rdrand, Operation::Rdseed, Operation::Hlt, Operation::Maskmovq,
                            Operation::Maskmovdqu, Operation::Fxsave, Operation::Fnsave, Operation::Fnstenv});
}

struct Environment {
  const char* value;
  explicit Environment(const char* name) : value(std::getenv(name)) {}
  [[nodiscard]] double or_else(double otherwise) const {
    return value != nullptr ? std::atof(value) : otherwise;
  }
};

class Streams : public testing::TestWithParam<Tested> {
 protected:
  Streams()
      : seed_(static_cast<uint64_t>(Environment("VITRINE_SEED").or_else(1))),
        interpreted_(EngineUsed::None),
        native_(std::get<0>(GetParam())),
        finder_(interpreted_.model()),
        forms_(differential::find_forms(finder_)),
        generator_(forms_, seed_),
        random_(seed_) {
    std::erase_if(forms_.encodings, [](const differential::Form& form) { return left_out(form.operation); });
    fmt::print("seed {}\n", seed_);
  }
  ~Streams() override { verify(); }

  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  bool chance(uint32_t percent) { return below(100) < percent; }
  [[nodiscard]] Privilege privilege() const { return std::get<1>(GetParam()); }

  void verify() {
    const std::string found = verify_translations(*native_.engine());
    EXPECT_TRUE(found.empty()) << found;
  }

  void verify_before_flush() {
    const bool nearly_full = native_.engine()->cache().used() > kCodeMemory - kCodeMemory / 16;
    if (nearly_full && !verified_) verify();
    verified_ = nearly_full;
  }

  /// False: the interpreter did not come to an end, and there is nothing to compare.
  bool compare(const Program& program, const std::string& what) {
    const Ending expected = interpreted_.run(program, kBudget);
    if (expected.reason == cpu::ExitReason::BudgetSpent) return false;
    const Ending ending = native_.run(program, kBudget);
    verify_before_flush();
    const std::string found = difference(interpreted_, expected, native_, ending);
    ++cases_;
    if (found.empty()) return true;
    ++failures_[what];
    if (failures_[what] == 1 && failures_.size() <= 12)
      ADD_FAILURE() << what << "\n" << describe(program) << found;
    return true;
  }

  static std::string describe(const Program& program) {
    std::string text = fmt::format("  eip {:x} eflags {:x} cr0|{:x} cr4&~{:x} fs {:x}\n ", program.state.eip,
                                   program.state.eflags, program.cr0_set, program.cr4_clear, program.fs_base);
    for (const uint32_t value : program.state.gpr) text += fmt::format(" {:x}", value);
    text += "\n  code";
    for (const uint8_t byte : std::span(program.code).subspan(program.state.eip - kCodeBase))
      text += fmt::format(" {:02x}", byte);
    return text + "\n";
  }

  /// A form with the registers that it was made for, so that its memory operand is there. The first is told
  /// by the state that the program begins with.
  std::vector<uint8_t> harmless_piece(Program& program, bool first) {
    const differential::TestCase test =
        generator_.make(below(static_cast<uint32_t>(forms_.encodings.size())));
    const differential::Form& form = forms_.encodings[test.form];
    Code code;
    if (first) {
      program.state = test.before;
      std::copy(test.window_bytes.begin(), test.window_bytes.end(), program.data.begin() + test.window);
    } else {
      for (unsigned reg = 0; reg < 8; ++reg)
        if (reg != x86::kEsp) code.mov(static_cast<x86::Gpr>(reg), test.before.gpr[reg]);
    }
    code.add(std::vector<uint8_t>(test.bytes.begin(), test.bytes.begin() + test.length));
    if (differential::undefined_flags(form.operation) != 0) code.add({0x3d, 0, 0, 0, 0});  // cmp eax, 0
    return code;
  }

  Program start() {
    Program program;
    program.privilege = privilege();
    program.data = generator_.make_data();
    program.fs_base = chance(50) ? kDataBase + below(0x2000) : chance(50) ? 0xfffff000 : below(64);
    if (chance(10)) program.cr0_set |= x86::kCr0Ts;
    if (chance(5)) program.cr0_set |= x86::kCr0Em;
    if (chance(5)) program.cr4_clear |= x86::kCr4Osfxsr;
    if (chance(5)) program.cr4_clear |= x86::kCr4Osxmmexcpt;
    if (chance(5)) program.cr4_clear |= x86::kCr4Osxsave;
    return program;
  }

  static constexpr uint64_t kBudget = 3000;

  uint64_t seed_;
  EngineMachine interpreted_, native_;
  differential::DecoderFinder finder_;
  differential::Forms forms_;
  differential::Generator generator_;
  std::mt19937_64 random_;
  uint64_t cases_ = 0;
  bool verified_ = false;
  std::map<std::string, unsigned> failures_;
};

// Time, randomness and model-specific registers are no part of the comparison.
void remove_undefined(std::vector<uint8_t>& code, size_t from) {
  for (size_t n = from; n < code.size(); ++n) {
    const uint8_t next = n + 1 < code.size() ? code[n + 1] : 0xcc;
    const bool odd =
        next == 0x31 || next == 0xc7 || next == 0xf7 || next == 0x30 || next == 0x32 || next == 0x22;
    if (code[n] == 0x0f && odd) code[n + 1] = 0x90;
  }
}

template <typename F>
void for_seconds(double seconds, F&& body) {
  const auto end =
      Clock::now() + std::chrono::duration<double>(Environment("VITRINE_SECONDS").or_else(seconds));
  do body();
  while (Clock::now() < end && !testing::Test::HasFatalFailure());
}

// Every form once at least, with memory operands wherever the generator puts them.
TEST_P(Streams, SingleInstructions) {
  unsigned next = 0;
  for_seconds(0.5, [&] {
    do {
      const differential::TestCase test = generator_.make(next);
      Program program = start();
      program.state = test.before;
      std::copy(test.window_bytes.begin(), test.window_bytes.end(), program.data.begin() + test.window);
      // In the middle of a page, at its end, or across.
      const uint32_t at = chance(70) ? 0x100 + below(0xc00) : 0x1000 - below(16);
      program.state.eip = kCodeBase + at;
      if (chance(25))
        program.state.gpr[x86::kEsp] = kDataBase + (chance(50) ? 0x1000 : 0x2000) - below(9) + 4;
      program.code.assign(at, 0xcc);
      program.code.insert(program.code.end(), test.bytes.begin(), test.bytes.begin() + test.length);
      const differential::Form& form = forms_.encodings[next];
      if (differential::undefined_flags(form.operation) != 0)
        program.code.insert(program.code.end(), {0x3d, 0, 0, 0, 0});  // cmp eax, 0
      compare(program, form.name());
      next = (next + 1) % forms_.encodings.size();
    } while (next != 0);
  });
  for (const auto& [what, count] : failures_) fmt::print("{} times: {}\n", count, what);
  EXPECT_GT(cases_, 1000u);
}

TEST_P(Streams, Sequences) {
  static constexpr std::initializer_list<uint8_t> kExtra[] = {{0x9c},
                                                              {0x9d},
                                                              {0x9c, 0x58},
                                                              {0xfa},
                                                              {0xfb},
                                                              {0xfb, 0x90},
                                                              {0x0f, 0x31, 0x31, 0xc0, 0x31, 0xd2},
                                                              {0xfc},
                                                              {0xfd},
                                                              {0x54},
                                                              {0x5c},
                                                              {0x8b, 0xe4},
                                                              {0x83, 0xc4, 0x04},
                                                              {0x83, 0xec, 0x08},
                                                              {0x8b, 0x04, 0x24},
                                                              {0x87, 0x0c, 0x24},
                                                              {0xff, 0x34, 0x24},
                                                              {0x8f, 0x04, 0x24},
                                                              {0x8f, 0x44, 0x24, 0x04},
                                                              {0x01, 0x64, 0x24, 0x04},
                                                              {0x8d, 0x64, 0x24, 0xfc},
                                                              {0x0f, 0xb1, 0x24, 0x24},
                                                              {0xf0, 0x0f, 0xc1, 0x24, 0x24},
                                                              {0x64, 0xa1, 0, 0, 0, 0},
                                                              {0x64, 0x89, 0x03},
                                                              {0xe8, 0, 0, 0, 0, 0x58},
                                                              {0xe8, 1, 0, 0, 0, 0xb8, 0x83, 0xc4, 0x04},
                                                              {0x8c, 0xe8},
                                                              {0x8e, 0xe0},
                                                              {0x1e, 0x1f},
                                                              {0x0f, 0xa0, 0x0f, 0xa1},
                                                              {0x64, 0x0f, 0xab, 0x08},
                                                              {0x66, 0x54},
                                                              {0x66, 0x5c},
                                                              {0x0f, 0xcc}};
  for_seconds(0.7, [&] {
    Program program = start();
    const uint32_t at = chance(50) ? 0x100 : 0x1000 - below(120);
    program.code.assign(at, 0xcc);
    const auto emit = [&](std::initializer_list<uint8_t> bytes) {
      program.code.insert(program.code.end(), bytes);
    };
    const auto emit_word = [&](uint32_t value) {
      for (unsigned n = 0; n < 4; ++n) program.code.push_back(static_cast<uint8_t>(value >> 8 * n));
    };
    const unsigned length = 2 + below(24);
    for (unsigned n = 0; n < length; ++n) {
      const differential::TestCase test =
          generator_.make(below(static_cast<uint32_t>(forms_.encodings.size())));
      const differential::Form& form = forms_.encodings[test.form];
      if (n == 0) {
        program.state = test.before;
        std::copy(test.window_bytes.begin(), test.window_bytes.end(), program.data.begin() + test.window);
      } else if (chance(form.memory ? 90 : 30)) {
        for (unsigned reg = 0; reg < 8; ++reg) {
          if (reg == x86::kEsp && !chance(10)) continue;
          program.code.push_back(static_cast<uint8_t>(0xb8 | reg));
          emit_word(test.before.gpr[reg]);
        }
      }
      program.code.insert(program.code.end(), test.bytes.begin(), test.bytes.begin() + test.length);
      if (differential::undefined_flags(form.operation) != 0) emit({0x3d}), emit_word(below(3) - 1);
      if (chance(40)) emit(kExtra[below(std::size(kExtra))]);
    }
    program.state.eip = kCodeBase + at;
    compare(program, "sequence");
  });
  EXPECT_GT(cases_, 100u);
}

// One instruction that faults, at every position of a stream; what stands before it has happened, what stands
// behind it has not. All that the stream has in memory is there, so nothing else stops it.
TEST_P(Streams, FaultsInEveryPosition) {
  struct Faulting {
    uint8_t vector;
    std::vector<uint8_t> code;
  };
  const auto of = [](const Code& code) { return std::vector<uint8_t>(code); };
  const Faulting faulting[] = {{14, of(Code{0x8b, 0x05}.word(kAbsentPage))},
                               {14, of(Code{0x01, 0x1d}.word(kReadOnlyPage + 8))},
                               {14, of(Code{0x89, 0x05}.word(kReadOnlyPage - 3))},
                               {14, of(Code{0xff, 0x35}.word(kAbsentPage + 4))},
                               {14, of(Code{0x0f, 0x10, 0x05}.word(kAbsentPage - 7))},
                               {14, of(Code{0xdd, 0x05}.word(kAbsentPage - 1))},
                               {0, {0xd4, 0x00}},
                               {3, {0xcc}},
                               {6, {0x0f, 0x0b}},
                               {13, of(Code{0x0f, 0x28, 0x05}.word(kDataBase + 1))},
                               {0x80, {0xcd, 0x80}}};
  unsigned reached = 0;
  for_seconds(0.5, [&] {
    Program program = start();
    program.cr0_set = program.cr4_clear = 0;
    std::vector<std::vector<uint8_t>> pieces;
    const unsigned length = 3 + below(12);
    for (unsigned n = 0; n < length; ++n) pieces.push_back(harmless_piece(program, n == 0));
    const uint32_t at = chance(60) ? 0x100 : 0x1000 - below(100);
    const Faulting& chosen = faulting[below(std::size(faulting))];
    for (unsigned position = 0; position <= length; ++position) {
      program.code.assign(at, 0xcc);
      for (unsigned n = 0; n < length; ++n) {
        if (n == position) program.code.insert(program.code.end(), chosen.code.begin(), chosen.code.end());
        program.code.insert(program.code.end(), pieces[n].begin(), pieces[n].end());
      }
      if (position == length) program.code.insert(program.code.end(), chosen.code.begin(), chosen.code.end());
      program.state.eip = kCodeBase + at;
      compare(program, fmt::format("vector {} at position {}", chosen.vector, position));
      const uint32_t handler = differential::kHandlers + chosen.vector + 1;
      if (interpreted_.run(program, kBudget).state.eip == handler) ++reached;
    }
  });
  EXPECT_GT(cases_, 100u);
  // Some of what is generated faults by itself.
  EXPECT_GT(reached, cases_ / 2);
}

// Arbitrary bytes, prefixes in every order.
TEST_P(Streams, Bytes) {
  static constexpr uint8_t kLikely[] = {0x66, 0xf2, 0xf3, 0xf0, 0x2e, 0x67, 0x64, 0x65, 0x40, 0x48,
                                        0x4f, 0xc4, 0xc5, 0x62, 0x0f, 0x0f, 0x0f, 0x38, 0x3a, 0xcd,
                                        0xea, 0x9a, 0x34, 0x05, 0x8e, 0x8c, 0xff, 0xf7, 0xa4, 0xa5,
                                        0xab, 0xaf, 0xa7, 0xae, 0x01, 0xc7, 0xe8, 0xeb, 0xc3};
  for_seconds(0.7, [&] {
    Program program = start();
    const differential::TestCase test = generator_.make_bytes();
    program.state = test.before;
    std::copy(test.window_bytes.begin(), test.window_bytes.end(), program.data.begin() + test.window);
    const uint32_t at = chance(80) ? 0x100 : 0x1000 - below(40);
    program.state.eip = kCodeBase + at;
    program.code.assign(at, 0xcc);
    const unsigned length = 1 + below(60);
    if (chance(50)) program.code.insert(program.code.end(), test.bytes.begin(), test.bytes.end());
    for (unsigned n = 0; n < length; ++n)
      program.code.push_back(chance(40) ? kLikely[below(std::size(kLikely))]
                                        : static_cast<uint8_t>(random_()));
    remove_undefined(program.code, at);
    compare(program, "bytes");
  });
  EXPECT_GT(cases_, 100u);
}

VITRINE_ALL_ENGINES(Streams);

}  // namespace
}  // namespace vitrine::engines
