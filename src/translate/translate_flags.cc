// EFLAGS as a whole. The arithmetic flags and DF are in the host's register, IF and the rest in the context.
// CLI is one store; STI, POPF go to the interpreter only when an interrupt waits or an uncommon flag changes.
#include "translate/unit_builder.h"
#include "x86/flags.h"

namespace vitrine::translate {
namespace {

using cpu::Operation;

static_assert(kUncommonFlags == (x86::kTf | x86::kIopl | x86::kNt | x86::kAc | x86::kId));

// pext/pdep r32, r32, r32: `to` = bits of `from` under `mask`, at the low end or spread again. SDM Vol. 2B.
void vex_bits(Emitter& out, uint8_t prefix_bits, HostRegister to, HostRegister from, HostRegister mask) {
  CHECK(to >= kR8 && from >= kR8 && mask >= kR8);
  out.bytes(0xc4, 0x42, (~from & 0xf) << 3 | prefix_bits, 0xf5, 0xc0 | (to & 7) << 3 | (mask & 7));
}
/// `to` = `from` & mask, without touching the flags. Both r8 or r9; r10 is lost.
void mask_into(Emitter& out, HostRegister to, HostRegister from, uint32_t mask) {
  out.move_immediate(kR10, mask);
  vex_bits(out, 2, to, from, kR10);
  vex_bits(out, 3, to, to, kR10);
}

bool push_flags(UnitBuilder& builder) {
  if (builder.instruction().operand_size != 4 || !builder.options().bmi2) return false;
  Emitter& out = builder.out();
  out.bytes(0x9c, 0x41, 0x58);  // pushfq; pop r8
  mask_into(out, kR8, kR8, kHostFlags);
  out.load(kR9, VITRINE_CONTEXT(interrupt_flag));
  out.load_address(kR8, {.base = kR8, .index = kR9});
  out.load(kR9, VITRINE_CONTEXT(system_flags));
  out.load_address(kR8, {.base = kR8, .index = kR9});
  out.store(builder.stack(-4), kR8);
  builder.move_stack_pointer(-4);
  return true;
}

bool pop_flags(UnitBuilder& builder) {
  if (builder.instruction().operand_size != 4 || !builder.options().bmi2) return false;
  Emitter& out = builder.out();
  out.load(kR8, builder.stack(0));
  out.move(kR9, kRcx);
  out.move_immediate(kR10, kUncommonFlags);
  vex_bits(out, 2, kR10, kR8, kR10);
  out.load(kRcx, VITRINE_CONTEXT(negated_uncommon));
  out.load_address(kRcx, {.base = kRcx, .index = kR10});
  builder.decline_unless_zero();
  if (!builder.user()) {
    out.load(kRcx, VITRINE_CONTEXT(interrupt_waits));
    builder.decline_unless_zero();
  }
  out.move(kRcx, kR9);
  if (!builder.user()) {
    mask_into(out, kR9, kR8, x86::kIf);
    out.store(VITRINE_CONTEXT(interrupt_flag), kR9);
  }
  mask_into(out, kR8, kR8, kHostFlags);
  out.bytes(0x41, 0x50, 0x9d);  // push r8; popfq
  builder.move_stack_pointer(4);
  return true;
}

bool set_interrupt_flag(UnitBuilder& builder) {
  // The shadow holds within a unit; where the next instruction may not be part of it, the interpreter knows
  // how.
  const bool last = (builder.eip() & kPageMask) + 1 + 15 > kPageSize || builder.nearly_full();
  if (builder.user() || last) return false;
  Emitter& out = builder.out();
  out.move(kR9, kRcx);
  out.load(kRcx, VITRINE_CONTEXT(interrupt_waits));
  builder.decline_unless_zero();
  out.move(kRcx, kR9);
  if (builder.counting()) {
    out.load(kR8, VITRINE_CONTEXT(interrupt_flag));
    out.store(VITRINE_CONTEXT(interrupt_flag_before), kR8);
    out.store_immediate(VITRINE_CONTEXT(shadow_cast), 1);
  }
  out.store_immediate(VITRINE_CONTEXT(interrupt_flag), x86::kIf);
  builder.cast_shadow();
  return true;
}

bool emit(UnitBuilder& builder) {
  Emitter& out = builder.out();
  const bool callouts = builder.options().privileged == PrivilegedPolicy::CallOut;
  switch (builder.instruction().operation) {
    case Operation::Clc: out.byte(0xf8); return true;
    case Operation::Stc: out.byte(0xf9); return true;
    case Operation::Cmc: out.byte(0xf5); return true;
    case Operation::Cld: out.byte(0xfc); return true;
    case Operation::Std: out.byte(0xfd); return true;
    case Operation::Lahf: out.byte(0x9f); return true;
    case Operation::Sahf: out.byte(0x9e); return true;
    case Operation::Pushf: return callouts && push_flags(builder);
    case Operation::Popf: return callouts && pop_flags(builder);
    case Operation::Cli:
      if (!callouts || builder.user()) return false;
      out.store_immediate(VITRINE_CONTEXT(interrupt_flag), 0);
      return true;
    case Operation::Sti: return callouts && set_interrupt_flag(builder);
    default: return false;
  }
}

}  // namespace

Verdict translate_flags(UnitBuilder& builder) {
  return emit(builder) ? Verdict::Next : Verdict::Declined;
}

}  // namespace vitrine::translate
