// What a debugger asks of the machine.
#include <algorithm>

#include "machine/machine.h"

namespace vitrine::machine {
namespace {

// While one vCPU steps and the others may run, each of those gets so many instructions: enough that a lock is
// released some time, few enough that the user sees nothing of it.
constexpr uint64_t kOthersShare = 50;

debug::StopReason reason_of(cpu::ExitReason reason) {
  switch (reason) {
    case cpu::ExitReason::Breakpoint: return debug::StopReason::Breakpoint;
    case cpu::ExitReason::Watchpoint: return debug::StopReason::Watchpoint;
    case cpu::ExitReason::Shutdown: return debug::StopReason::Shutdown;
    default: return debug::StopReason::Stepped;
  }
}

bool interests_debugger(cpu::ExitReason reason) {
  return reason == cpu::ExitReason::Breakpoint || reason == cpu::ExitReason::Watchpoint;
}

}  // namespace

void Machine::set_cpu_state(unsigned cpu, const cpu::CpuState& state) {
  halt_processors();
  cpu::Vcpu& vcpu = pc_->processors().vcpu(cpu);
  vcpu.state() = state;
  vcpu.state_changed();
  pc_->processors().wake(cpu);
}

bool Machine::write_virtual(unsigned cpu, VirtualAddress address, std::span<const uint8_t> data) {
  halt_processors();
  return pc_->processors().vcpu(cpu).debug_write(address, data);
}

bool Machine::read_physical(PhysicalAddress address, std::span<uint8_t> data) const {
  const memory::PhysicalMap& memory = pc_->memory();
  for (uint64_t offset = 0; offset < data.size(); offset += kPageSize - (address + offset).page_offset()) {
    if (memory.find(address + offset).read_block == nullptr) return false;
  }
  memory.read(address, data);
  return true;
}

bool Machine::write_physical(PhysicalAddress address, std::span<const uint8_t> data) {
  halt_processors();
  memory::PhysicalMap& memory = pc_->memory();
  for (uint64_t offset = 0; offset < data.size(); offset += kPageSize - (address + offset).page_offset()) {
    if (memory.find(address + offset).write_block == nullptr) return false;
  }
  memory.write(address, data);
  return true;
}

void Machine::set_stop_points(const debug::StopPoints& points) {
  stop_points_ = points;
  apply_debug_requests();
}

void Machine::apply_debug_requests() {
  halt_processors();
  Processors& processors = pc_->processors();
  for (unsigned i = 0; i < processors.count(); ++i) {
    const bool step = i < stepping_.size() && stepping_[i];
    processors.vcpu(i).set_debug_requests({stop_points_.breakpoints, stop_points_.watchpoints, step});
  }
}

void Machine::resume(const debug::ResumeRequest& request) {
  if (state_ == RunState::Running || end_status_) return;
  halt_processors();
  stop_stepping();
  const auto& actions = request.actions;
  if (std::ranges::find(actions, debug::CpuAction::Step) != actions.end()) return step(request);
  resume();
  std::vector<bool> held(actions.size());
  for (size_t i = 0; i < actions.size(); ++i) held[i] = actions[i] == debug::CpuAction::Stay;
  pc_->processors().hold(held);
}

// One instruction of the first vCPU that can execute one; if all that should step are halted, they step when
// they wake.
void Machine::step(const debug::ResumeRequest& request) {
  Processors& processors = pc_->processors();
  std::optional<unsigned> stepper;
  for (unsigned i = 0; i < request.actions.size(); ++i) {
    const bool awake = processors.vcpu(i).state().activity == cpu::Activity::Running;
    if (request.actions[i] == debug::CpuAction::Step && awake && !stepper) stepper = i;
  }
  if (!stepper) {
    stepping_.assign(request.actions.size(), false);
    std::vector<bool> held(request.actions.size());
    for (size_t i = 0; i < request.actions.size(); ++i) {
      stepping_[i] = request.actions[i] == debug::CpuAction::Step;
      held[i] = request.actions[i] == debug::CpuAction::Stay;
    }
    apply_debug_requests();
    resume();
    processors.hold(held);
    return;
  }
  for (unsigned i = 0; i < request.actions.size(); ++i) {
    if (request.actions[i] != debug::CpuAction::Continue) continue;
    const cpu::Exit exit = processors.run_one(i, kOthersShare);
    if (interests_debugger(exit.reason)) return gdb_->stopped(i, reason_of(exit.reason), exit.address);
  }
  const cpu::Exit exit = step_one(*stepper, request.step_interrupts);
  if (exit.reason == cpu::ExitReason::Shutdown) triple_fault(*stepper);
  const debug::StopReason reason =
      interests_debugger(exit.reason) ? reason_of(exit.reason) : debug::StopReason::Stepped;
  gdb_->stopped(*stepper, reason, exit.address);
}

cpu::Exit Machine::step_one(unsigned vcpu, debug::StepInterrupts interrupts) {
  Processors& processors = pc_->processors();
  const bool masked = interrupts == debug::StepInterrupts::Masked;
  if (masked) processors.mask_interrupts(vcpu, true);
  // A request to step, and not only a budget of one: so that a step into an exception stops at the handler's
  // first instruction, which has not been executed.
  stepping_.assign(processors.count(), false);
  stepping_[vcpu] = true;
  apply_debug_requests();
  cpu::Exit exit;
  // A kick that came while the machine stood still ends the run before its instruction.
  const uint64_t before = processors.vcpu(vcpu).executed();
  do {
    exit = processors.run_one(vcpu, 1);
  } while (exit.reason == cpu::ExitReason::Kicked && processors.vcpu(vcpu).executed() == before);
  stop_stepping();
  if (masked) processors.mask_interrupts(vcpu, false);
  return exit;
}

void Machine::stop_for_debugger(unsigned vcpu, const cpu::Exit& exit) {
  stop_stepping();
  if (real_clock_ != nullptr) real_clock_->stop();
  state_ = RunState::Paused;
  log_->flush();
  if (gdb_) gdb_->stopped(vcpu, reason_of(exit.reason), exit.address);
}

void Machine::stop_stepping() {
  if (stepping_.empty()) return;
  stepping_.clear();
  apply_debug_requests();
}

std::string Machine::execute_monitor_command(std::string_view line) {
  return debugger_monitor_->execute(line);
}

}  // namespace vitrine::machine
