// PUSH, POP, LEAVE: memory first, then ESP, so that a fault finds everything as it was.
#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Instruction;
using cpu::Operation;

uint8_t word_prefix(const Instruction& i) {
  return static_cast<uint8_t>(i.operand_size == 2 ? 0x66 : 0);
}

bool store(UnitBuilder& builder, const HostMemory& to, HostRegister from) {
  return builder.out().instruction({.prefix66 = word_prefix(builder.instruction()),
                                    .opcode = 0x89,
                                    .reg = from,
                                    .is_memory = true,
                                    .memory = to});
}
bool load(UnitBuilder& builder, HostRegister to, const HostMemory& from) {
  return builder.out().instruction({.prefix66 = word_prefix(builder.instruction()),
                                    .opcode = 0x8b,
                                    .reg = to,
                                    .is_memory = true,
                                    .memory = from});
}

bool push(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const int32_t size = i.operand_size;
  if (size != 2 && size != 4) return false;
  bool done = false;
  if (i.form == cpu::OperandForm::Immediate) {
    done = builder.out().instruction({.prefix66 = word_prefix(i),
                                      .opcode = 0xc7,
                                      .is_memory = true,
                                      .memory = builder.stack(-size),
                                      .immediate_size = static_cast<uint8_t>(size),
                                      .immediate = i.immediate});
  } else if (i.is_memory != 0) {
    HostMemory memory;
    done = builder.memory_operand(memory) && load(builder, kR8, memory) &&
           store(builder, builder.stack(-size), kR8);
  } else {
    done = store(builder, builder.stack(-size), host_of(i.rm));
  }
  if (!done) return false;
  builder.move_stack_pointer(-size);
  return true;
}

bool pop(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const int32_t size = i.operand_size;
  if (size != 2 && size != 4) return false;
  if (i.is_memory != 0) {
    // An address made of ESP is that after the pop. SDM Vol. 2B, "POP". r10: the operand may need r8 and r9.
    HostMemory memory;
    if (!load(builder, kR10, builder.stack(0)) || !builder.memory_operand(memory)) return false;
    if (i.base == x86::kEsp) {
      if (i.segment >= x86::kFs) return false;
      memory.displacement += size;
    }
    if (!store(builder, memory, kR10)) return false;
    builder.move_stack_pointer(size);
    return true;
  }
  if (i.rm == x86::kEsp) return size == 4 && load(builder, kGuestStack, builder.stack(0));
  if (!load(builder, host_of(i.rm), builder.stack(0))) return false;
  builder.move_stack_pointer(size);
  return true;
}

bool push_segment(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  if (i.operand_size != 4) return false;
  // The upper half: written as zero by some processors, left alone by others. SDM Vol. 2B, "PUSH".
  builder.out().load(kR8, context_field(offsetof(GuestContext, selectors) + 4 * i.reg));
  builder.out().store(builder.stack(-4), kR8);
  builder.move_stack_pointer(-4);
  return true;
}

// Eight stores of what does not change: begun again from the first when one of them faults.
bool push_all(UnitBuilder& builder) {
  if (builder.instruction().operand_size != 4) return false;
  for (unsigned n = 0; n < 8; ++n)
    builder.out().store(builder.stack(-4 * static_cast<int32_t>(n + 1)), host_of(n));
  builder.move_stack_pointer(-32);
  return true;
}

// All of it is read first, upwards: no register has changed when a page is not there, and the address that
// the guest is told is the first of that page (SDM Vol. 2B, "POPA": one POP after the other).
bool pop_all(UnitBuilder& builder) {
  if (builder.instruction().operand_size != 4) return false;
  for (int32_t at = 0; at < 32; at += 4) builder.out().load(kR8, builder.stack(at));
  for (unsigned n = 0; n < 8; ++n)
    if (n != x86::kEsp) builder.out().load(host_of(n), builder.stack(28 - 4 * static_cast<int32_t>(n)));
  builder.move_stack_pointer(32);
  return true;
}

bool leave(UnitBuilder& builder) {
  if (builder.instruction().operand_size != 4) return false;
  builder.out().load(kR8, UnitBuilder::window(kRbp));
  builder.out().load_address_wide(kGuestStack, {.base = kWindow, .index = kRbp, .displacement = 4});
  builder.forget_pending();
  builder.out().move(kRbp, kR8);
  return true;
}

}  // namespace

bool goes_with_pending(const Instruction& i, const cpu::Encoding& e) {
  switch (i.operation) {
    case Operation::Push:
      return i.operand_size == 4 &&
             (i.form == cpu::OperandForm::Immediate || i.is_memory != 0 || i.rm != x86::kEsp);
    case Operation::Pop: return i.operand_size == 4 && i.is_memory == 0 && i.rm != x86::kEsp;
    case Operation::Call:
    case Operation::Ret:
    case Operation::Leave: return i.operand_size == 4;
    default: return stack_adjustment(i, e).has_value() || is_integer_without_esp(i, e);
  }
}

Verdict translate_stack(UnitBuilder& builder) {
  bool done = false;
  switch (builder.instruction().operation) {
    case Operation::Push: done = push(builder); break;
    case Operation::Pop: done = pop(builder); break;
    case Operation::Leave: done = leave(builder); break;
    case Operation::PushSegment: done = push_segment(builder); break;
    case Operation::Pusha: done = push_all(builder); break;
    case Operation::Popa: done = pop_all(builder); break;
    default: break;
  }
  return done ? Verdict::Next : Verdict::Declined;
}

}  // namespace vitrine::translate
