// AVX, AVX2, FMA, F16C and BMI: the same instruction for the host, encoded anew from the rows of
// cpu/vex_forms.h. No byte of the guest's VEX prefix is copied: bits that 32-bit mode ignores name r8–r15 or
// a 64-bit width here. Whether the guest has enabled AVX is known when code is translated
// (TranslatorOptions::avx).
#include "cpu/vex_forms.h"
#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Encoding;
using cpu::Instruction;
using cpu::Operation;
using cpu::VectorOperand;

HostInstruction host_instruction(const Encoding& e) {
  return {.mandatory = e.mandatory_prefix,
          .map = e.map,
          .opcode = e.opcode,
          .reg = static_cast<uint8_t>(e.modrm >> 3 & 7),
          .rm = static_cast<uint8_t>(e.modrm & 7),
          .vex = true,
          .vex_l = e.vex_l};
}

uint8_t number_of(VectorOperand kind, unsigned field) {
  return kind == VectorOperand::General ? uint8_t{host_of(field)} : static_cast<uint8_t>(field);
}

bool with_memory(UnitBuilder& builder, HostInstruction& h) {
  h.is_memory = builder.instruction().is_memory != 0;
  return !h.is_memory || builder.memory_operand(h.memory);
}

bool table_form(UnitBuilder& builder, const cpu::VexForm& form) {
  const Encoding& e = builder.encoding();
  if (form.has(cpu::kVexStringIndex) || form.has(cpu::kVexStringMask)) return false;
  builder.need(UnitNeed::Avx);
  HostInstruction h = host_instruction(e);
  h.wide = form.w == 1;
  h.vex_l = form.length(e.vex_l);
  h.reg = form.extension != cpu::kNoExtension ? form.extension : number_of(form.reg, h.reg);
  h.rm = number_of(form.rm, h.rm);
  if (form.vvvv != VectorOperand::None) h.vvvv = e.vex_vvvv;
  if (form.has(cpu::kVexImmediate)) {
    constexpr uint8_t kRegisterInImmediate = 0x70;
    h.immediate_size = 1;
    h.immediate = e.bytes[e.length - 1];
    if (form.has(cpu::kVexIs4)) h.immediate &= kRegisterInImmediate;
  }
  return with_memory(builder, h) && builder.out().instruction(h);
}

bool masked_move(UnitBuilder& builder) {
  const Encoding& e = builder.encoding();
  builder.need(UnitNeed::Avx);
  HostInstruction h = host_instruction(e);
  h.wide = e.vex_w != 0;
  h.vvvv = e.vex_vvvv;
  return with_memory(builder, h) && builder.out().instruction(h);
}

// The index is a vector register: there is nothing to add another segment's base to.
bool gather(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const Encoding& e = builder.encoding();
  if (i.segment == x86::kCs || i.segment == x86::kFs || i.segment == x86::kGs) return false;
  builder.need(UnitNeed::Avx);
  HostInstruction h = host_instruction(e);
  h.wide = e.vex_w != 0;
  h.vvvv = e.vex_vvvv;
  h.is_memory = true;
  h.memory = HostMemory{.space = AddressSpace::Guest,
                        .index = i.index,
                        .scale = i.scale,
                        .displacement = static_cast<int32_t>(i.displacement)};
  if (i.base != cpu::kNoRegister) h.memory.base = host_of(i.base);
  return builder.out().instruction(h);
}

bool control_word(UnitBuilder& builder, uint8_t extension) {
  builder.need(UnitNeed::Avx);
  HostInstruction h{.map = 1, .opcode = 0xae, .reg = extension, .vex = true};
  return with_memory(builder, h) && builder.out().instruction(h);
}

bool avx(UnitBuilder& builder) {
  const Operation operation = builder.instruction().operation;
  if (!builder.options().avx) return false;
  switch (operation) {
    case Operation::Vldmxcsr: return !builder.options().wide_mxcsr && control_word(builder, 2);
    case Operation::Vstmxcsr: return control_word(builder, 3);
    case Operation::Vzeroupper:
      builder.need(UnitNeed::Avx);
      builder.out().bytes(0xc5, 0xf8, 0x77);
      return true;
    case Operation::Vzeroall:  // would clear the host's registers above 7 as well, which are nobody's
      builder.need(UnitNeed::Avx);
      builder.out().bytes(0xc5, 0xfc, 0x77);
      return true;
    default: break;
  }
  if (cpu::is_masked_move(operation)) return masked_move(builder);
  if (cpu::is_gather(operation)) return gather(builder);
  const cpu::VexForm* const form = cpu::find_vex_form(builder.encoding());
  return form != nullptr && form->operation == operation && table_form(builder, *form);
}

enum class BmiShape : uint8_t { None, RegVvvvRm, VvvvRm, RegRmImmediate };

BmiShape bmi_shape(Operation operation) {
  switch (operation) {
    case Operation::Andn:
    case Operation::Bextr:
    case Operation::Bzhi:
    case Operation::Mulx:
    case Operation::Pdep:
    case Operation::Pext:
    case Operation::Sarx:
    case Operation::Shlx:
    case Operation::Shrx: return BmiShape::RegVvvvRm;
    case Operation::Blsi:
    case Operation::Blsmsk:
    case Operation::Blsr: return BmiShape::VvvvRm;
    case Operation::Rorx: return BmiShape::RegRmImmediate;
    default: return BmiShape::None;
  }
}

bool bmi(UnitBuilder& builder, BmiShape shape) {
  const Encoding& e = builder.encoding();
  HostInstruction h = host_instruction(e);
  h.vex_l = 0;
  h.rm = host_of(h.rm);
  if (shape != BmiShape::VvvvRm) h.reg = host_of(h.reg);
  if (shape != BmiShape::RegRmImmediate) h.vvvv = host_of(e.vex_vvvv);
  if (shape == BmiShape::RegRmImmediate) {
    h.immediate_size = 1;
    h.immediate = e.bytes[e.length - 1];
  }
  return with_memory(builder, h) && builder.out().instruction(h);
}

bool emit(UnitBuilder& builder) {
  if (builder.encoding().kind != cpu::EncodingKind::Vex) return false;
  const BmiShape shape = bmi_shape(builder.instruction().operation);
  return shape != BmiShape::None ? bmi(builder, shape) : avx(builder);
}

}  // namespace

Verdict translate_vex(UnitBuilder& builder) {
  return emit(builder) ? Verdict::Next : Verdict::Declined;
}

}  // namespace vitrine::translate
