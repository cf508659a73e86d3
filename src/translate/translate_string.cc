// String instructions: RSI and RDI become 64-bit addresses in the window, and are cut to 32 bits again behind
// the instruction. At every moment their low halves, and ECX, are what the guest's registers should be,
// because windows are aligned to 4 GiB; so a fault or an interrupt in the middle needs no repair but that
// cut. A pointer that runs over either end of the window meets its guards.
#include "translate/string_form.h"
#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Operation;

// REP MOVS and STOS begin slowly, and wait for the stores before them (memory that has just been pushed, or
// written by the monitor at another address); what is short goes one by one. Without touching the flags.
void repeat_move(Emitter& out, uint8_t opcode, bool narrow, unsigned most_bits) {
  const auto once = [&](bool repeat) {
    if (narrow) out.byte(0x66);
    if (repeat) out.byte(0xf3);
    out.byte(opcode);
  };
  out.move(kR9, kRcx);
  out.move_immediate(kR10, most_bits);
  out.bytes(0xc4, 0xc2, 0x2b, 0xf7, 0xc9);  // shrx ecx, r9d, r10d
  const size_t few = out.jump_if_rcx_zero();
  out.move(kRcx, kR9);
  once(true);
  const size_t done = out.jump();
  out.bind_short(few);
  out.move(kRcx, kR9);
  const size_t loop = out.size();
  const size_t none_left = out.jump_if_rcx_zero();
  once(false);
  out.load_address(kRcx, {.base = kRcx, .displacement = -1});
  out.bytes(0xeb, static_cast<uint8_t>(loop - out.size() - 2));
  out.bind_short(none_left);
  out.bind(done);
}

}  // namespace

Verdict translate_string(UnitBuilder& builder) {
  const cpu::Instruction& i = builder.instruction();
  const StringForm form = string_form_of(i.operation);
  if (form.opcode == 0 || i.address_mask != 0xffffffff) return Verdict::Declined;
  if (form.source && (i.segment == x86::kFs || i.segment == x86::kGs || i.segment == x86::kCs))
    return Verdict::Declined;
  Emitter& out = builder.out();
  const bool counted = builder.counting() && (i.prefixes & (cpu::kPrefixRep | cpu::kPrefixRepne)) != 0;
  if (counted) builder.begin_repetition();
  if (form.source) out.load_address_wide(kRsi, {.base = kRsi, .index = kWindow});
  if (form.destination) out.load_address_wide(kRdi, {.base = kRdi, .index = kWindow});
  const auto opcode = static_cast<uint8_t>(form.opcode | (i.operand_size == 1 ? 0 : 1));
  const bool moves = i.operation == Operation::Movs || i.operation == Operation::Stos;
  if (moves && (i.prefixes & (cpu::kPrefixRep | cpu::kPrefixRepne)) != 0 && builder.options().bmi2) {
    repeat_move(out, opcode, i.operand_size == 2, i.operand_size == 4 && form.source ? 5 : 3);
  } else {
    if (i.operand_size == 2) out.byte(0x66);
    if ((i.prefixes & cpu::kPrefixRep) != 0) out.byte(0xf3);
    if ((i.prefixes & cpu::kPrefixRepne) != 0) out.byte(form.compares ? 0xf2 : 0xf3);
    out.byte(opcode);
  }
  if (form.source) out.move(kRsi, kRsi);
  if (form.destination) out.move(kRdi, kRdi);
  if (counted) builder.end_repetition();
  return Verdict::Next;
}

}  // namespace vitrine::translate
