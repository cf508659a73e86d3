// x87, MMX and SSE: the same instruction on the guest's own state, which is in the host's registers then.
// What saves, restores or shows the state as a whole is the interpreter's: the host would store its 64-bit
// formats.
#include "cpu/vector_forms.h"
#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Operation;
using cpu::VectorOperand;

bool is_x87_opcode(const cpu::Encoding& e) {
  return e.map == 0 && (e.opcode & 0xf8) == 0xd8;
}

// FLDENV, FNSTENV, FRSTOR, FNSAVE. SDM Vol. 2D, "Escape Opcode Instructions".
bool shows_environment(const cpu::Encoding& e) {
  const unsigned extension = e.modrm >> 3 & 7;
  return (e.opcode == 0xd9 && (extension == 4 || extension == 6)) ||
         (e.opcode == 0xdd && (extension == 4 || extension == 6));
}

bool x87(UnitBuilder& builder) {
  const cpu::Instruction& i = builder.instruction();
  const cpu::Encoding& e = builder.encoding();
  HostInstruction h{.opcode = e.opcode, .reg = static_cast<uint8_t>(e.modrm >> 3 & 7)};
  if (i.is_memory != 0) {
    if (shows_environment(e)) return false;
    builder.need(UnitNeed::X87);
    h.is_memory = true;
    if (!builder.memory_operand(h.memory)) return false;
    return builder.out().instruction(h);
  }
  if (e.modrm < 0xc0) return false;
  builder.need(UnitNeed::X87);
  h.rm = e.modrm & 7;  // ST(i), or part of the opcode
  return builder.out().instruction(h);
}

uint8_t number_of(VectorOperand kind, unsigned field) {
  if (kind == VectorOperand::General) return host_of(field);
  return static_cast<uint8_t>(field);
}

bool vector(UnitBuilder& builder) {
  const cpu::Instruction& i = builder.instruction();
  const cpu::Encoding& e = builder.encoding();
  if (e.kind != cpu::EncodingKind::Legacy || !e.has_modrm) return false;
  const cpu::VectorForm* form = cpu::find_vector_form(e.map, e.mandatory_prefix, e.opcode, e.modrm >> 3 & 7);
  if (form == nullptr || form->operation != i.operation) return false;
  if (form->has(cpu::kVectorStringIndex) || form->has(cpu::kVectorStringMask)) return false;
  const bool mmx = form->reg == VectorOperand::Mmx || form->rm == VectorOperand::Mmx;
  const bool xmm = form->reg == VectorOperand::Xmm || form->rm == VectorOperand::Xmm;
  if (mmx) builder.need(UnitNeed::X87);
  if (xmm) builder.need(UnitNeed::Sse);
  if (!mmx && !xmm) return false;
  HostInstruction h{.prefix66 = static_cast<uint8_t>(form->prefix == 0x66 ? 0x66 : 0),
                    .mandatory = static_cast<uint8_t>(form->prefix == 0x66 ? 0 : form->prefix),
                    .map = form->map,
                    .opcode = form->opcode};
  const unsigned field = e.modrm >> 3 & 7;
  h.reg = form->extension != cpu::kNoExtension ? form->extension : number_of(form->reg, field);
  if (i.is_memory != 0) {
    h.is_memory = true;
    if (!builder.memory_operand(h.memory)) return false;
  } else {
    if (form->has(cpu::kVectorMemoryOnly)) return false;
    h.rm = number_of(form->rm, e.modrm & 7);
  }
  if (form->has(cpu::kVectorImmediate)) {
    h.immediate_size = 1;
    h.immediate = e.bytes[e.length - 1];
  }
  return builder.out().instruction(h);
}

bool control_word(UnitBuilder& builder, uint8_t extension) {
  HostInstruction h{.map = 1, .opcode = 0xae, .reg = extension, .is_memory = true};
  if (builder.instruction().is_memory == 0) return false;
  builder.need(UnitNeed::Sse);
  return builder.memory_operand(h.memory) && builder.out().instruction(h);
}

bool emit(UnitBuilder& builder) {
  switch (builder.instruction().operation) {
    case Operation::Ldmxcsr: return !builder.options().wide_mxcsr && control_word(builder, 2);
    case Operation::Stmxcsr: return control_word(builder, 3);
    case Operation::Fwait:
      builder.need(UnitNeed::X87);
      builder.out().byte(0x9b);
      return true;
    case Operation::Emms:
      builder.need(UnitNeed::X87);
      builder.out().bytes(0x0f, 0x77);
      return true;
    default: break;
  }
  if (is_x87_opcode(builder.encoding())) return x87(builder);
  return vector(builder);
}

}  // namespace

Verdict translate_vector(UnitBuilder& builder) {
  return emit(builder) ? Verdict::Next : Verdict::Declined;
}

}  // namespace vitrine::translate
