// What a processor tells an Observer, and that exceptions without end still use up the budget.
#include "cpu/observer.h"

#include <gtest/gtest.h>

#include <vector>

#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

struct Recorder : Observer {
  std::vector<x86::Vector> events;
  std::vector<uint32_t> instructions;
  bool all = false;

  void event(unsigned, const CpuState&, const Event& event) override { events.push_back(event.vector); }
  void instruction(unsigned, const CpuState& state) override { instructions.push_back(state.eip); }
  [[nodiscard]] bool wants_instructions() const override { return all; }
};

TEST(Observer, HearsOfExceptionsAndSoftwareInterrupts) {
  TestMachine machine;
  Recorder recorder;
  machine.trap_exceptions();
  machine.cpu->set_observer(&recorder);
  machine.run_code({0xcd, 0x40});
  machine.run_code({0x0f, 0x0b});
  EXPECT_EQ(recorder.events, (std::vector{static_cast<x86::Vector>(0x40), x86::Vector::InvalidOpcode}));
  EXPECT_TRUE(recorder.instructions.empty());
}

TEST(Observer, HearsOfEachInstructionWhenItWants) {
  TestMachine machine;
  Recorder recorder;
  recorder.all = true;
  machine.cpu->set_observer(&recorder);
  machine.run_code({0x40, 0x66, 0x40, 0x90});
  constexpr uint32_t kCode = TestMachine::kCode;
  EXPECT_EQ(recorder.instructions, (std::vector<uint32_t>{kCode, kCode + 1, kCode + 3, kCode + 4}));
  machine.cpu->set_observer(nullptr);
}

TEST(Budget, EndsThoughTheHandlerOfAnExceptionCausesItAgain) {
  TestMachine machine;
  machine.trap_exceptions();
  // Nothing answers there, and FF FF is no instruction.
  machine.set_gate(6, 0x500000, 0x8e00);
  const Exit exit = machine.run_code({0x0f, 0x0b}, 1000);
  EXPECT_EQ(exit.reason, ExitReason::BudgetSpent);
}

}  // namespace
}  // namespace vitrine::cpu
