// Encoding of host instructions: see emitter.h. SDM Vol. 2A, "Instruction Format".
#include "translate/emitter.h"

namespace vitrine::translate {
namespace {

constexpr uint8_t kSib = 4;

bool fits_byte(int32_t value) {
  return value >= -128 && value <= 127;
}

void emit_memory(Emitter& out, uint8_t reg, const HostMemory& m) {
  const auto reg_bits = static_cast<uint8_t>((reg & 7) << 3);
  const bool has_index = m.index != kNoHostRegister;
  if (m.base == kNoHostRegister) {
    // Mod 00, SIB base 101: displacement alone. Without SIB, ModRM 00 101 would be relative to RIP.
    out.bytes(reg_bits | kSib, m.scale << 6 | (has_index ? (m.index & 7) : 4) << 3 | 5);
    out.dword(static_cast<uint32_t>(m.displacement));
    return;
  }
  const uint8_t base = m.base & 7;
  const bool sib = has_index || base == 4;
  uint8_t mod = 2;
  if (m.displacement == 0 && base != 5) {
    mod = 0;
  } else if (fits_byte(m.displacement)) {
    mod = 1;
  }
  out.byte(static_cast<uint8_t>(mod << 6 | reg_bits | (sib ? kSib : base)));
  if (sib) out.byte(static_cast<uint8_t>(m.scale << 6 | (has_index ? (m.index & 7) : 4) << 3 | base));
  if (mod == 1) out.byte(static_cast<uint8_t>(m.displacement));
  if (mod == 2) out.dword(static_cast<uint32_t>(m.displacement));
}

bool extended(uint8_t reg) {
  return reg != kNoHostRegister && reg >= 8;
}

uint8_t pp_of(const HostInstruction& i) {
  switch (i.prefix66 != 0 ? i.prefix66 : i.mandatory) {
    case 0x66: return 1;
    case 0xf3: return 2;
    case 0xf2: return 3;
    default: return 0;
  }
}

// SDM Vol. 2A, "The VEX Prefix", three bytes: R, X, B and vvvv are inverted. An index above 7 is a general
// register.
void emit_vex(Emitter& out, const HostInstruction& i) {
  const bool b = i.is_memory ? extended(i.memory.base) : i.rm >= 8;
  const bool x = i.is_memory && extended(i.memory.index);
  const unsigned second = (i.reg >= 8 ? 0 : 0x80u) | (x ? 0 : 0x40u) | (b ? 0 : 0x20u) | i.map;
  const unsigned third =
      (i.wide ? 0x80u : 0) | (~unsigned{i.vvvv} & 15) << 3 | unsigned{i.vex_l} << 2 | pp_of(i);
  out.bytes(0xc4, second, third);
}

}  // namespace

namespace {

/// Whether an operand that names r15d is one that the instruction may write. In doubt: yes.
bool may_write_r15(const HostInstruction& i) {
  if (i.wide) return false;  // our own
  const bool rm = !i.is_memory && i.rm == kR15;
  if (i.vex) return i.reg == kR15 || rm || i.vvvv == kR15;
  if (i.reg != kR15 && !rm) return false;
  if (i.map != 0) return true;
  switch (i.opcode) {
    case 0x39:
    case 0x3b:
    case 0x85: return false;          // CMP, TEST
    case 0x89: return rm;             // MOV from `reg`
    case 0x8b: return i.reg == kR15;  // MOV from `rm`
    case 0x81:
    case 0x83: return i.reg != 7;                // but CMP
    case 0xf7: return i.reg != 0 && i.reg != 1;  // but TEST
    default: return true;
  }
}

/// Whether r15d is the destination, written in any case. In doubt: no.
bool writes_all_of_r15(const HostInstruction& i) {
  if (i.wide || i.vex || i.map != 0 || i.prefix66 != 0) return false;
  const bool rm = !i.is_memory && i.rm == kR15;
  if (i.opcode < 0x38) return (i.opcode & 7) == 1 ? rm : (i.opcode & 7) == 3 && i.reg == kR15;
  switch (i.opcode) {
    case 0x81:
    case 0x83: return rm && i.reg != 7;
    case 0x89:
    case 0xc7: return rm;
    case 0x8b:
    case 0x8d: return i.reg == kR15;
    case 0xff: return rm && i.reg < 2;
    default: return false;
  }
}

}  // namespace

bool Emitter::instruction(const HostInstruction& i) {
  uint8_t rex = i.wide ? 0x48 : 0;
  if (i.reg >= 8) rex |= 0x44;
  if (i.is_memory) {
    if (extended(i.memory.base)) rex |= 0x41;
    if (extended(i.memory.index)) rex |= 0x42;
  } else if (i.rm >= 8) {
    rex |= 0x41;
  }
  const bool high_reg = i.byte_reg && i.reg >= 4 && i.reg < 8;
  const bool high_rm = !i.is_memory && i.byte_rm && i.rm >= 4 && i.rm < 8;
  if (rex != 0 && (high_reg || high_rm)) return false;
  if (may_write_r15(i)) {
    wrote_r15_ = true;
    wrote_all_of_r15_ = writes_all_of_r15(i);
  }

  if (i.lock) byte(0xf0);
  if (!i.vex && i.prefix66 != 0) byte(i.prefix66);
  if (!i.vex && i.mandatory != 0) byte(i.mandatory);
  if (i.is_memory && i.memory.space == AddressSpace::Guest) bytes(0x65, 0x67);
  if (i.vex) {
    emit_vex(*this, i);
  } else {
    if (rex != 0) byte(rex);
    if (i.map != 0) byte(0x0f);
    if (i.map == 2) byte(0x38);
    if (i.map == 3) byte(0x3a);
  }
  byte(i.opcode);
  if (i.is_memory) {
    emit_memory(*this, i.reg, i.memory);
  } else {
    byte(static_cast<uint8_t>(0xc0 | (i.reg & 7) << 3 | (i.rm & 7)));
  }
  for (unsigned n = 0; n < i.immediate_size; ++n) byte(static_cast<uint8_t>(i.immediate >> 8 * n));
  return true;
}

namespace {

void emit_register(Emitter& out, uint8_t opcode, uint8_t reg, uint8_t rm) {
  CHECK(out.instruction({.opcode = opcode, .reg = reg, .rm = rm}));
}
void emit_memory_form(Emitter& out, uint8_t opcode, uint8_t reg, const HostMemory& memory, bool wide) {
  CHECK(out.instruction({.wide = wide, .opcode = opcode, .reg = reg, .is_memory = true, .memory = memory}));
}

}  // namespace

void Emitter::move(HostRegister to, HostRegister from) {
  emit_register(*this, 0x89, from, to);
}
void Emitter::move_immediate(HostRegister to, uint32_t value) {
  if (to >= 8) byte(0x41);
  byte(static_cast<uint8_t>(0xb8 | (to & 7)));
  dword(value);
  if (to == kR15) wrote_r15_ = wrote_all_of_r15_ = true;
}
void Emitter::load(HostRegister to, const HostMemory& from) {
  emit_memory_form(*this, 0x8b, to, from, false);
}
void Emitter::store(const HostMemory& to, HostRegister from) {
  emit_memory_form(*this, 0x89, from, to, false);
}
void Emitter::store_immediate(const HostMemory& to, uint32_t value) {
  CHECK(instruction(
      {.opcode = 0xc7, .is_memory = true, .memory = to, .immediate_size = 4, .immediate = value}));
}
void Emitter::load_wide(HostRegister to, const HostMemory& from) {
  emit_memory_form(*this, 0x8b, to, from, true);
}
void Emitter::store_wide(const HostMemory& to, HostRegister from) {
  emit_memory_form(*this, 0x89, from, to, true);
}
void Emitter::load_address(HostRegister to, const HostMemory& of) {
  CHECK(of.space == AddressSpace::Monitor);  // LEA ignores segments
  emit_memory_form(*this, 0x8d, to, of, false);
}
void Emitter::load_address_wide(HostRegister to, const HostMemory& of) {
  CHECK(of.space == AddressSpace::Monitor);
  emit_memory_form(*this, 0x8d, to, of, true);
}
void Emitter::jump_memory(const HostMemory& to) {
  emit_memory_form(*this, 0xff, 4, to, false);
}

size_t Emitter::jump_if_rcx_zero() {
  bytes(0xe3, 0);
  return size() - 1;
}
void Emitter::bind_short(size_t site) {
  const size_t distance = size() - site - 1;
  CHECK(distance <= 127);
  begin_[site] = static_cast<uint8_t>(distance);
}
size_t Emitter::jump() {
  byte(0xe9);
  dword(0);
  return size() - 4;
}
size_t Emitter::call() {
  byte(0xe8);
  dword(0);
  return size() - 4;
}
size_t Emitter::jump_if(unsigned condition) {
  bytes(0x0f, 0x80 | condition);
  dword(0);
  return size() - 4;
}

}  // namespace vitrine::translate
