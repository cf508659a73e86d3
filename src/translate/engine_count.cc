// Counting: translated code takes each instruction that begins off GuestContext::instructions_left and leaves
// when that is zero. Here it becomes what the interpreter would have counted (cpu/vcpu.cc): an instruction
// that was not executed after all counts as none, a repeated string instruction as one for each iteration.
#include <algorithm>

#include "translate/engine.h"

namespace vitrine::translate {

void Engine::begin_count(cpu::Core& core) {
  granted_ = static_cast<uint32_t>(std::clamp<int64_t>(core.remaining, 0, INT32_MAX));
  context_->instructions_left = granted_;
  context_->shadowed = context_->shadow_cast = 0;
  repetition_refused_ = 0;
}

// Iterations are taken off the budget beforehand, so that what comes behind keeps to it, and what was not
// needed is given back.
bool Engine::permit_repetition() {
  GuestContext& c = *context_;
  const uint32_t count = c.gpr[x86::kEcx];
  if (count > c.instructions_left) {
    repetition_refused_ = count;  // The interpreter stops in the middle.
    return false;
  }
  repeat_granted_ = count;
  c.instructions_left -= count == 0 ? 0 : count - 1;
  c.repeat_blocked = 0;
  return true;
}

void Engine::settle_count(cpu::Core& core, Leave reason) {
  GuestContext& c = *context_;
  const bool not_executed = reason == Leave::Decline || reason == Leave::Fpu || reason == Leave::Fault ||
                            reason == Leave::Stale || reason == Leave::Repeat;
  if (c.repeat_running != 0) {
    c.instructions_left += c.gpr[x86::kEcx];
  } else {
    if (not_executed) ++c.instructions_left;
    if (c.repeat_blocked == 0 && repeat_granted_ != 0) c.instructions_left += repeat_granted_ - 1;
    c.instructions_left += c.repeat_left;
  }
  c.repeat_running = c.repeat_left = 0;
  c.repeat_blocked = 1;
  const bool progress = granted_ != c.instructions_left;
  core.remaining -= int64_t{granted_} - int64_t{c.instructions_left};
  counters_.instructions += uint64_t{granted_} - c.instructions_left;
  granted_ = c.instructions_left;
  // The interpreter's shadow goes on where translated code stopped in it.
  const bool stopped = not_executed && reason != Leave::Fault;
  const bool behind_sti =
      c.shadow_cast != 0 || (stopped && c.shadowed_by != 0 && c.shadowed != 0 && c.shadowed == c.eip);
  if (progress) core.state.interrupt_shadow = behind_sti && c.interrupt_flag_before == 0;
  c.shadowed = c.shadow_cast = 0;
}

}  // namespace vitrine::translate
