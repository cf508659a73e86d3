// The virtual processor's side of the comparison: see interpreted_machine.h.
#include "differential/interpreted_machine.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "differential/supervisor.h"
#include "x86/vectors.h"

namespace vitrine::differential {
namespace {

// Physical layout. The supervisor's pages appear at kKernelBase, where user code does not find them.
constexpr uint32_t kRamSize = 1 << 20;
constexpr uint32_t kPageDirectory = 0x0000, kUserTable = 0x1000, kKernelTable = 0x2000;
constexpr uint32_t kKernelPhysical = 0x3000;
constexpr uint32_t kCodePhysical = 0x10000, kDataPhysical = 0x11000;

}  // namespace

InterpretedMachine::~InterpretedMachine() = default;

InterpretedMachine::InterpretedMachine() {
  auto ram = memory::RamBlock::create("differential", kRamSize);
  CHECK(ram.has_value(), "{}", ram.error().message());
  ram_ = std::move(*ram);
  map_.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram_, 0));
  auto model = cpu::CpuModel::create("max");
  CHECK(model.has_value(), "{}", model.error().message());
  model_ = std::move(*model);
  build_tables();
  vcpu_ = std::make_unique<cpu::Vcpu>(cpu::CoreEnvironment{map_, ports_, bus_, *model_, 0});

  start_ = vcpu_->state();
  enter_supervisor_tables(start_, *model_, 3);
  start_.cr3 = kPageDirectory;
  start_.segments[x86::kFs] = {};
}

uint32_t InterpretedMachine::word(uint32_t physical) const {
  uint32_t value = 0;
  std::memcpy(&value, ram_->data() + physical, 4);
  return value;
}
void InterpretedMachine::set_word(uint32_t physical, uint32_t value) {
  put_word({ram_->data(), kRamSize}, physical, value);
}

void InterpretedMachine::build_tables() {
  constexpr uint32_t kAll = kPresent | kWritable | kUser;
  set_word(kPageDirectory + (kCodeBase >> 22) * 4, kUserTable | kAll);
  set_word(kPageDirectory + (kKernelBase >> 22) * 4, kKernelTable | kAll);
  set_word(kUserTable + (kCodeBase >> 12 & 0x3ff) * 4, kCodePhysical | kAll);
  for (uint32_t page = 0; page < kDataSize >> 12; ++page)
    set_word(kUserTable + ((kDataBase >> 12 & 0x3ff) + page) * 4, (kDataPhysical + (page << 12)) | kAll);
  for (uint32_t page = 0; page < kKernelPages; ++page)
    set_word(kKernelTable + ((kKernelBase >> 12 & 0x3ff) + page) * 4,
             (kKernelPhysical + (page << 12)) | kPresent | kWritable);

  build_supervisor({ram_->data() + kKernelPhysical, kKernelPages << 12});
}

void InterpretedMachine::take_fault(Outcome& outcome) {
  const cpu::CpuState& state = vcpu_->state();
  outcome.vector = static_cast<uint8_t>(state.eip - kHandlers - 1);
  uint32_t frame = kKernelPhysical + (state.gpr[x86::kEsp] - kKernelBase);
  if (x86::pushes_error_code(static_cast<x86::Vector>(outcome.vector))) {
    outcome.error_code = word(frame);
    frame += 4;
  }
  if (outcome.vector == 14) {
    outcome.fault_address = state.cr2;
    // The host has no handlers' pages there: to it they are not present.
    if (state.cr2 - kKernelBase < kKernelPages << 12) outcome.error_code &= ~kPresent;
  }
  outcome.after.eip = word(frame);
  outcome.after.eflags = word(frame + 8);
  outcome.after.gpr[x86::kEsp] = word(frame + 12);
}

void InterpretedMachine::run_one(const TestCase& test, Outcome& outcome, std::span<const uint8_t> data) {
  std::memcpy(ram_->data() + kDataPhysical, data.data(), kDataSize);
  std::memcpy(ram_->data() + kDataPhysical + test.window, test.window_bytes.data(), kWindowSize);
  map_.write(PhysicalAddress(kCodePhysical), code_page(test));

  cpu::CpuState& state = vcpu_->state();
  state = start_;
  std::copy(test.before.gpr.begin(), test.before.gpr.end(), state.gpr.begin());
  state.eip = test.before.eip;
  state.eflags = test.before.eflags;
  from_unit(test.before, state.fpu);
  vcpu_->state_changed();

  cpu::Exit exit = vcpu_->run(1);
  for (unsigned steps = 0; test.repeats && exit.reason == cpu::ExitReason::BudgetSpent &&
                           state.eip == test.before.eip && steps < 5000;
       ++steps)
    exit = vcpu_->run(1);
  // A software interrupt is an instruction that completes: its handler has not halted yet.
  if (exit.reason == cpu::ExitReason::BudgetSpent && state.cpl == 0) exit = vcpu_->run(1);
  std::copy_n(state.gpr.begin(), 8, outcome.after.gpr.begin());
  outcome.after.eip = state.eip;
  outcome.after.eflags = state.eflags;
  to_unit(state.fpu, outcome.after);
  to_unit_places(state.fpu, outcome.after);
  outcome.vector = kNoVector;
  outcome.error_code = outcome.fault_address = 0;
  if (exit.reason == cpu::ExitReason::Halted && state.cpl == 0)
    take_fault(outcome);
  else if (exit.reason != cpu::ExitReason::BudgetSpent)
    outcome.vector = 0xfe;  // nothing that a processor does
  std::memcpy(outcome.data.data(), ram_->data() + kDataPhysical, kDataSize);
}

void InterpretedMachine::run(std::span<const TestCase> cases, std::span<Outcome> outcomes,
                             std::span<const uint8_t> data) {
  for (size_t n = 0; n < cases.size(); ++n) run_one(cases[n], outcomes[n], data);
}

}  // namespace vitrine::differential
