// What becomes of a host signal that came out of translated code: a fill of the window, the guest's own
// fault, the interpreter's turn, or a way out at the next instruction boundary. On the alternate stack.
#include <signal.h>

#include "translate/engine.h"

namespace vitrine::translate {

bool Engine::at_boundary(const TranslationCache::Place& place) const {
  if (place.boundary->host == place.offset) return !place.boundary->shadow;
  // A repeated string instruction can be interrupted between any two of its steps: it begins again with what
  // is left.
  const uint8_t* code = cache_->memory().executable(place.offset);
  while (code[0] == 0x66 || code[0] == 0xf3 || code[0] == 0xf2) ++code;
  const uint8_t opcode = code[0] & 0xfe;
  return (opcode == 0xa4 || opcode == 0xa6 || opcode == 0xaa || opcode == 0xac || opcode == 0xae);
}

void Engine::redirect(ucontext_t& frame, uint32_t way_out, uint32_t eip) {
  auto& registers = frame.uc_mcontext.gregs;
  registers[REG_RIP] = reinterpret_cast<greg_t>(cache_->memory().executable(way_out));
  registers[REG_R8] = eip;
  registers[REG_R11] = kNoDecline;
  // Inside a string instruction these are addresses in the window; the low half is the guest's register.
  registers[REG_RSI] &= 0xffffffff;
  registers[REG_RDI] &= 0xffffffff;
  registers[REG_EFL] &= ~static_cast<greg_t>(x86::kTf);
  stepping_ = false;
}

void Engine::step_to_boundary(ucontext_t& frame) {
  auto& registers = frame.uc_mcontext.gregs;
  const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
  const auto place = cache_->place_of(rip);
  if (place && at_boundary(*place)) {
    repetition_stopped_ = place->boundary->host != place->offset;
    return redirect(frame, glue_.kicked, place->eip);
  }
  // On the way out already, or gone.
  const auto offset = rip - reinterpret_cast<uint64_t>(cache_->memory().executable(0));
  stepping_ = cache_->memory().contains(rip) && offset >= glue_.enter;
  if (stepping_) {
    registers[REG_EFL] |= static_cast<greg_t>(x86::kTf);
  } else {
    registers[REG_EFL] &= ~static_cast<greg_t>(x86::kTf);
  }
}

void Engine::handle_kick(ucontext_t& frame) {
  ++counters_.kicks;
  // In parallel the sender has said why, in `attention` or by halt(); if we have been here since, it is done.
  if (lock_ != nullptr && context_->kicked == 0) return;
  if (lock_ == nullptr && core_ != nullptr)
    core_->attention.fetch_or(cpu::kAttentionKick, std::memory_order_release);
  context_->kicked = 1;
  if (cache_->memory().contains(static_cast<uint64_t>(frame.uc_mcontext.gregs[REG_RIP])))
    step_to_boundary(frame);
}

void Engine::fault_of_translated_code(uint64_t address, ucontext_t& frame, uint32_t eip) {
  const auto& registers = frame.uc_mcontext.gregs;
  constexpr greg_t kPageFault = 14, kWrite = 2;
  const MachineAddress where(reinterpret_cast<uint8_t*>(address));
  if (registers[REG_TRAPNO] == kPageFault && window_->contains(where)) {
    const auto kind =
        (registers[REG_ERR] & kWrite) != 0 ? paging::AccessKind::Write : paging::AccessKind::Read;
    const VirtualAddress linear(static_cast<uint32_t>(address));
    const paging::FillResult filled = spaces_->fill(linear, kind, privilege());
    if (filled.outcome == paging::FillOutcome::Filled) return;
    if (filled.outcome == paging::FillOutcome::TrueFault) {
      fault_address_ = linear.value;
      fault_error_ = filled.error_code;
      return redirect(frame, glue_.fault, eip);
    }
  }
  slow_site_ = eip;
  redirect(frame, glue_.decline, eip);
}

bool Engine::handle_fault(int signal, uint64_t address, ucontext_t& frame) {
  auto& registers = frame.uc_mcontext.gregs;
  const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
  if (signal == SIGTRAP && stepping_) {
    step_to_boundary(frame);
    return true;
  }
  if (!cache_->memory().contains(rip)) return false;
  ++counters_.host_faults;
  for (const ReturnStack& stack : return_stacks_) {
    const auto low = reinterpret_cast<uint64_t>(stack.memory.data());
    if (address - low >= kPageSize) continue;
    registers[REG_RSP] = static_cast<greg_t>(stack.top);  // Full: begin anew. The push is executed again.
    return true;
  }
  const bool parallel = lock_ != nullptr;
  if (parallel) end_outside();
  const auto place = cache_->place_of(rip);
  if (place) fault_of_translated_code(address, frame, place->eip);
  if (parallel) {
    // While this thread waited for the lock others may have dropped what it runs: halt() saw it stand still.
    if (place && context_->kicked != 0) step_to_boundary(frame);
    begin_outside();
  }
  return place.has_value();
}

}  // namespace vitrine::translate
