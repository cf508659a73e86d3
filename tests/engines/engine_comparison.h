// What the tests of chosen situations share: two machines, one with the engine that is tested and one
// without, at the privilege that is tested; and code put together by hand.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "engines/engine_machine.h"
#include "engines/verifier.h"
#include "x86/registers.h"

namespace vitrine::engines {

/// 32-bit code, byte by byte.
class Code {
 public:
  Code() = default;
  Code(std::initializer_list<uint8_t> bytes) : bytes_(bytes) {}
  explicit Code(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}

  Code& add(std::initializer_list<uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes);
    return *this;
  }
  Code& add(const std::vector<uint8_t>& bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Code& word(uint32_t value) {
    for (unsigned n = 0; n < 4; ++n) bytes_.push_back(static_cast<uint8_t>(value >> 8 * n));
    return *this;
  }
  Code& mov(x86::Gpr reg, uint32_t value) {
    bytes_.push_back(static_cast<uint8_t>(0xb8 | reg));
    return word(value);
  }
  /// A short jump of this opcode (JMP, Jcc, LOOP) back to an offset of size().
  Code& back(uint8_t opcode, size_t to) {
    bytes_.push_back(opcode);
    bytes_.push_back(static_cast<uint8_t>(to - (bytes_.size() + 1)));
    return *this;
  }
  /// INT3 until `size` bytes are there.
  Code& fill(size_t size) {
    bytes_.resize(std::max(size, bytes_.size()), 0xcc);
    return *this;
  }
  [[nodiscard]] size_t size() const { return bytes_.size(); }
  /// Where the next byte will be in the guest.
  [[nodiscard]] uint32_t here() const { return kCodeBase + static_cast<uint32_t>(bytes_.size()); }
  operator const std::vector<uint8_t>&() const { return bytes_; }  // NOLINT(google-explicit-constructor)

 private:
  std::vector<uint8_t> bytes_;
};

class EngineComparison : public testing::TestWithParam<Tested> {
 protected:
  EngineComparison() : interpreted_(EngineUsed::None) { renew(); }
  ~EngineComparison() override { EXPECT_EQ(verify_translations(*native_->engine()), ""); }

  /// Another engine, which has learnt nothing: where an instruction faulted a few times, it is interpreted.
  void renew() {
    if (native_) {
      EXPECT_EQ(verify_translations(*native_->engine()), "");
    }
    native_ = std::make_unique<EngineMachine>(std::get<0>(GetParam()));
  }

  [[nodiscard]] static Privilege privilege() { return std::get<1>(GetParam()); }
  [[nodiscard]] static bool user() { return privilege() == Privilege::User; }

  /// Begins at the code's beginning, or at `entry` of it; ESI and EDI point to data, ESP to the data's end.
  [[nodiscard]] static Program program(std::vector<uint8_t> code, uint32_t entry = 0) {
    Program made;
    made.privilege = privilege();
    made.code = std::move(code);
    made.state.eip = kCodeBase + entry;
    made.state.eflags = 0x202;
    made.state.gpr[x86::kEsp] = kDataBase + 0x1800;
    made.state.gpr[x86::kEsi] = kDataBase + 0x100;
    made.state.gpr[x86::kEdi] = kDataBase + 0x400;
    made.state.unit[0] = 0x7f;
    made.state.unit[1] = 0x03;
    made.state.unit[24] = 0x80;
    made.state.unit[25] = 0x1f;
    return made;
  }

  /// Runs it on both, and expects the same end. Returns it.
  Ending compare(const Program& wanted, uint64_t kick_every = 0, const std::string& what = {}) {
    constexpr uint64_t kBudget = 20'000'000;
    const Ending expected = interpreted_.run(wanted, kBudget);
    EXPECT_NE(expected.reason, cpu::ExitReason::BudgetSpent) << what;
    const Ending ending = native_->run(wanted, kBudget, kick_every);
    EXPECT_EQ(difference(interpreted_, expected, *native_, ending), "") << what;
    return ending;
  }

  EngineMachine interpreted_;
  std::unique_ptr<EngineMachine> native_;
};

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): gtest's own has to see the name of the suite.
#define VITRINE_ALL_ENGINES(suite)                                                                    \
  INSTANTIATE_TEST_SUITE_P(                                                                           \
      All, suite,                                                                                     \
      testing::Combine(testing::Values(EngineUsed::Translate, EngineUsed::Trap, EngineUsed::Counted), \
                       testing::Values(Privilege::User, Privilege::Supervisor)),                      \
      [](const auto& parameters) { return name_of(parameters.param); })

}  // namespace vitrine::engines
