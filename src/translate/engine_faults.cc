// What becomes of a host signal that came out of translated code: a fill of the window, the guest's own
// fault, the interpreter's turn, or a way out at the next instruction boundary. On the alternate stack.
#include <signal.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "translate/engine.h"

namespace vitrine::translate {

const Engine::ReturnStack* Engine::guards_return_stack(uint64_t address) const {
  const auto guard = std::ranges::find_if(return_stacks_, [&](const ReturnStack& stack) {
    return address - reinterpret_cast<uint64_t>(stack.memory.data()) < kPageSize;
  });
  return guard == return_stacks_.end() ? nullptr : &*guard;
}

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

// What most often stands between an interrupted place and the next boundary: the rest of a CALL or a RET. A
// single step of the processor's takes a signal (4 us), and 30 us where the host is a virtual machine whose
// monitor wants to know of each. False: it is something else.
bool Engine::execute_by_hand(ucontext_t& frame) const {
  auto& registers = frame.uc_mcontext.gregs;
  const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
  const std::span code(reinterpret_cast<const uint8_t*>(rip), 8);
  const auto is = [&](std::initializer_list<uint8_t> bytes) {
    return std::equal(bytes.begin(), bytes.end(), code.begin());
  };
  const auto distance_at = [&](size_t at) {
    int32_t distance = 0;
    std::memcpy(&distance, &code[at], sizeof distance);
    return greg_t{distance};
  };
  const auto go_on = [&](size_t length) { registers[REG_RIP] += static_cast<greg_t>(length); };
  auto* const top = reinterpret_cast<uint64_t*>(registers[REG_RSP]);
  if (is({0xc3})) {
    registers[REG_RIP] = static_cast<greg_t>(*top);
    registers[REG_RSP] += sizeof *top;
  } else if (is({0xe9})) {
    registers[REG_RIP] += 5 + distance_at(1);
  } else if (is({0xe8}) && !guards_return_stack(reinterpret_cast<uint64_t>(top - 1))) {
    top[-1] = rip + 5;
    registers[REG_RSP] -= sizeof *top;
    registers[REG_RIP] += 5 + distance_at(1);
  } else if (is({0x4d, 0x8d, 0x7f})) {  // lea r15, [r15 + disp8]
    registers[REG_R15] += static_cast<int8_t>(code[3]);
    go_on(4);
  } else if (is({0x47, 0x8b, 0x8c, 0x04}) &&  // mov r9d, [r12 + r8 + disp32]: whether RET led here rightly
             landing_pad_.holds(
                 static_cast<uint64_t>(registers[REG_R12] + registers[REG_R8] + distance_at(4)))) {
    go_on(8);
  } else {
    return false;
  }
  return true;
}

void Engine::step_to_boundary(ucontext_t& frame) {
  auto& registers = frame.uc_mcontext.gregs;
  auto place = cache_->place_of(static_cast<uint64_t>(registers[REG_RIP]));
  constexpr unsigned kMostByHand = 16;
  for (unsigned n = 0; place && !at_boundary(*place) && n < kMostByHand && execute_by_hand(frame); ++n)
    place = cache_->place_of(static_cast<uint64_t>(registers[REG_RIP]));
  if (place && at_boundary(*place)) {
    repetition_stopped_ = place->boundary->host != place->offset;
    settle_stack_pointer(frame, *place);
    return redirect(frame, glue_.kicked, place->eip);
  }
  const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
  const auto offset = rip - reinterpret_cast<uint64_t>(cache_->memory().executable(0));
  // On the way in it does not get in: either enter() is yet to ask, or goes back from here.
  if (offset >= glue_.enter_asked && offset < glue_.enter_end)
    registers[REG_RIP] = reinterpret_cast<greg_t>(cache_->memory().executable(glue_.abort));
  // Else on the way out already, or gone, or between two units.
  stepping_ = cache_->memory().contains(rip) && offset >= glue_.enter_end;
  if (stepping_) {
    count(Trap::Step);
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

void Engine::settle_stack_pointer(ucontext_t& frame, const TranslationCache::Place& place) {
  frame.uc_mcontext.gregs[REG_R15] += int64_t{4} * place.boundary->pending;
}

Trap Engine::fault_of_translated_code(uint64_t address, ucontext_t& frame,
                                      const TranslationCache::Place& place) {
  const inspect::ActivityScope scope(core_->activity, inspect::Activity::Fill);
  auto& registers = frame.uc_mcontext.gregs;
  constexpr greg_t kPageFault = 14, kWrite = 2;
  const MachineAddress where(reinterpret_cast<uint8_t*>(address));
  constexpr uint64_t kLow = 0xffffffff;
  if ((static_cast<uint64_t>(registers[REG_R15]) & ~kLow) != context_->window) {
    // The guest's stack has passed an end of its addresses: once more, from the other one.
    registers[REG_R15] =
        static_cast<greg_t>(context_->window | (static_cast<uint64_t>(registers[REG_R15]) & kLow));
    return Trap::Address;
  }
  const bool page_fault = registers[REG_TRAPNO] == kPageFault;
  const bool in_window = page_fault && window_->contains(where);
  const bool spared = in_window && spares_fill(static_cast<uint32_t>(address) >> kPageShift);
  if (spared && !counting_) note_hidden_fault(place);
  if (in_window && !spared) {
    const auto kind =
        (registers[REG_ERR] & kWrite) != 0 ? paging::AccessKind::Write : paging::AccessKind::Read;
    const VirtualAddress linear(static_cast<uint32_t>(address));
    const uint64_t before = shadow_counters().pages_filled;
    const paging::FillResult filled = spaces_->fill(linear, kind, privilege());
    tell_of_fill(place.eip, linear.value, kind, filled, before, true);
    if (filled.outcome == paging::FillOutcome::Filled) {
      if (!counting_) note_hidden_fault(place);
      return Trap::HiddenFault;
    }
    if (filled.outcome == paging::FillOutcome::TrueFault) {
      fault_address_ = linear.value;
      fault_error_ = filled.error_code;
      settle_stack_pointer(frame, place);
      redirect(frame, glue_.fault, place.eip);
      return Trap::TrueFault;
    }
  }
  by_signal_ = true;
  const bool privileged = *cache_->memory().executable(place.offset) == kPrivilegedTrap;
  if (!privileged && !spared) slow_site_ = place.eip;
  wraps_ = page_fault && !in_window;
  settle_stack_pointer(frame, place);
  redirect(frame, glue_.decline, place.eip);
  return privileged ? Trap::Privileged : in_window ? Trap::Access : Trap::Address;
}

// RET took the guest to r8d, but the host to behind another CALL (landing_pad.h). What is on the return stack
// is of no use any more.
void Engine::stray_return(ucontext_t& frame, const TranslationCache::Place& place) {
  auto& registers = frame.uc_mcontext.gregs;
  const ReturnStack& stack = return_stacks_[active_stack_];
  const bool table = mode_ != CodePrivilege::Supervisor && target_tables_;
  uint32_t on = table ? glue_.table_jump : glue_.indirect;
  if (++place.unit->page->strays[static_cast<uint16_t>(place.eip & kPageMask)] == kStraysToBeChecked) {
    stray_ = place.eip;
    on = glue_.indirect_miss;
  }
  registers[REG_RSP] = static_cast<greg_t>(stack.top);
  registers[REG_RIP] = reinterpret_cast<greg_t>(cache_->memory().executable(on));
}

bool Engine::handle_fault(int signal, uint64_t address, ucontext_t& frame) {
  auto& registers = frame.uc_mcontext.gregs;
  const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
  if (signal == SIGTRAP && stepping_) {
    step_to_boundary(frame);
    return true;
  }
  if (!cache_->memory().contains(rip)) return false;
  if (const ReturnStack* const full = guards_return_stack(address)) {
    registers[REG_RSP] = static_cast<greg_t>(full->top);  // Begin anew. The push is executed again.
    count(Trap::ReturnStack);
    return true;
  }
  const bool parallel = lock_ != nullptr;
  if (parallel) end_outside();
  const auto place = cache_->place_of(rip);
  if (place && landing_pad_.contains(address)) {
    count(Trap::StrayReturn);
    stray_return(frame, *place);
  } else if (place) {
    count(fault_of_translated_code(address, frame, *place));
  }
  if (parallel) {
    // While this thread waited for the lock others may have dropped what it runs: halt() saw it stand still.
    if (place && context_->kicked != 0) step_to_boundary(frame);
    begin_outside();
  }
  return place.has_value();
}

}  // namespace vitrine::translate
