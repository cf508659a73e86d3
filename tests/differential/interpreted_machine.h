// Executes cases in a virtual processor: 32-bit flat user-mode code under paging, with an IDT whose handlers
// halt.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "cpu/no_bus.h"
#include "cpu/vcpu.h"
#include "differential/test_case.h"
#include "memory/ram_block.h"

namespace vitrine::differential {

class InterpretedMachine {
 public:
  InterpretedMachine();
  ~InterpretedMachine();

  void run(std::span<const TestCase> cases, std::span<Outcome> outcomes, std::span<const uint8_t> data);
  [[nodiscard]] const cpu::CpuModel& model() const { return *model_; }

 private:
  void build_tables();
  void run_one(const TestCase& test, Outcome& outcome, std::span<const uint8_t> data);
  void take_fault(Outcome& outcome);
  [[nodiscard]] uint32_t word(uint32_t physical) const;
  void set_word(uint32_t physical, uint32_t value);

  std::unique_ptr<memory::RamBlock> ram_;
  memory::PhysicalMap map_;
  memory::PortMap ports_;
  cpu::NoBus bus_;
  std::optional<cpu::CpuModel> model_;
  std::unique_ptr<cpu::Vcpu> vcpu_;
  cpu::CpuState start_;
};

}  // namespace vitrine::differential
