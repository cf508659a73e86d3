// Hardware task switching. SDM Vol. 3A, "Task Management".
#pragma once

#include "cpu/core.h"
#include "x86/descriptors.h"

namespace vitrine::cpu {

/// What started a task switch. It decides about busy bits, NT and the back link.
enum class TaskInitiator : uint8_t { Jump, Call, Interrupt, Return };

enum class TaskSwitchResult : uint8_t {
  Done,
  Refused,  ///< core.fault is set; still the old task, nothing has changed.
  Faulted,  ///< core.fault is set; it belongs to the new task, whose registers are loaded: state.eip is its.
};

/// Switches to the task of a TSS whose descriptor type, rights and presence have been checked. state.eip is
/// where the old task will go on. `source` gives the EXT bit of error codes.
[[nodiscard]] TaskSwitchResult switch_task(Core& core, x86::Selector selector, x86::Descriptor tss,
                                           TaskInitiator initiator, x86::EventSource source);

/// For an instruction: a fault in the new task is delivered there and then, so that only a refusal is a fault
/// of the instruction itself (false).
[[nodiscard]] bool switch_task_by_instruction(Core& core, x86::Selector selector, x86::Descriptor tss,
                                              TaskInitiator initiator,
                                              x86::EventSource source = x86::EventSource::Program);

/// The TSS that a task gate names. Errors as for JMP, CALL and interrupts alike.
[[nodiscard]] bool resolve_task_gate(Core& core, x86::Descriptor gate, x86::Selector& selector,
                                     x86::Descriptor& tss, x86::EventSource source);

/// IRET with NT set.
[[nodiscard]] bool return_to_previous_task(Core& core);

}  // namespace vitrine::cpu
