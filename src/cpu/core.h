// The inside of a virtual processor: architectural state, translation look-aside buffer, and what the
// instruction handlers share. Only cpu/ sees it; everybody else uses Vcpu.
//
// Two kinds of instruction function, both `bool f(Core&, const Instruction&)`, false = core.fault is set
// and nothing architectural has changed (but what the manual says changes before a fault, such as the
// registers of an interrupted REP):
//   - an *inline* one runs in the middle of a block: state.eip is stale (instruction_eip(i) knows), the
//     arithmetic flags live in `flags` (arithmetic_flags.h);
//   - an *ending* one runs with state.eip at the next instruction and canonical state.eflags; the block ends after it,
//     so it may change anything: mode, segments, page tables, control flow.
// dispatch.h turns either into a Handler.
#pragma once

#include <cstdint>

#include "base/addresses.h"
#include "cpu/cpu_model.h"
#include "cpu/cpu_state.h"
#include "cpu/fault.h"
#include "cpu/instruction.h"
#include "cpu/processor_bus.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::cpu {

/// What a Vcpu is built from. Everything must outlive it.
struct CoreEnvironment {
  memory::PhysicalMap& memory;
  memory::PortMap& ports;
  ProcessorBus& bus;
  const CpuModel& model;
  unsigned index = 0;  ///< Number of the vCPU; 0 is the bootstrap processor.
};

struct Core {
  explicit Core(const CoreEnvironment& environment) : env(environment) {}

  CoreEnvironment env;
  CpuState state;
  Fault fault;  ///< Set by whoever returns false.

  /// Records a fault; always returns false, so that `return core.raise(…)` reads well.
  bool raise(x86::Vector vector, uint32_t error_code = 0) {
    fault = Fault{vector, error_code, 0};
    return false;
  }
  bool raise_page_fault(uint32_t address, uint32_t error_code) {
    fault = Fault{x86::Vector::PageFault, error_code, address};
    return false;
  }

  // Modes, kept up to date by update_mode() (system.h) whenever CR0, CR4, EFER, EFLAGS.VM/AC, CS, SS or CPL change.
  [[nodiscard]] bool real_mode() const { return (state.cr0 & 1) == 0; }
  [[nodiscard]] bool v86_mode() const { return (state.eflags >> 17 & 1) != 0; }
  [[nodiscard]] bool protected_mode() const { return !real_mode() && !v86_mode(); }
};

}  // namespace vitrine::cpu
