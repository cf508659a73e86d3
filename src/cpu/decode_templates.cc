// Shapes of instructions and the table of those known: see decode_templates.h.
#include "cpu/decode_templates.h"

#include <cstring>

namespace vitrine::cpu {
namespace {

// SDM Vol. 2D, "Opcode Map": which opcodes have a ModRM byte. One bit for each; a mistake here costs speed
// only, since keep() compares with what the decoder has found.
using OpcodeSet = std::array<uint32_t, 8>;

constexpr OpcodeSet kOneByteModrm = [] {
  OpcodeSet set{};
  const auto add = [&set](unsigned first, unsigned last) {
    for (unsigned opcode = first; opcode <= last; ++opcode) set[opcode / 32] |= 1u << (opcode % 32);
  };
  for (unsigned opcode = 0; opcode < 0x40; opcode += 8) add(opcode, opcode + 3);
  add(0x62, 0x63);
  add(0x69, 0x69);
  add(0x6b, 0x6b);
  add(0x80, 0x8f);
  add(0xc0, 0xc1);
  add(0xc4, 0xc7);
  add(0xd0, 0xd3);
  add(0xd8, 0xdf);
  add(0xf6, 0xf7);
  add(0xfe, 0xff);
  return set;
}();

constexpr OpcodeSet kTwoByteWithoutModrm = [] {
  OpcodeSet set{};
  const auto add = [&set](unsigned first, unsigned last) {
    for (unsigned opcode = first; opcode <= last; ++opcode) set[opcode / 32] |= 1u << (opcode % 32);
  };
  add(0x04, 0x0c);
  add(0x0e, 0x0e);
  add(0x30, 0x37);
  add(0x77, 0x77);
  add(0x80, 0x8f);
  add(0xa0, 0xa2);
  add(0xa8, 0xaa);
  add(0xc8, 0xcf);
  return set;
}();

constexpr bool contains(const OpcodeSet& set, uint8_t opcode) {
  return (set[opcode / 32] >> (opcode % 32) & 1) != 0;
}

// VEX, EVEX and XOP begin like other instructions; 3DNow! has its opcode at the end.
bool is_other_encoding(uint8_t opcode, uint8_t second) {
  switch (opcode) {
    case 0x62:
    case 0xc4:
    case 0xc5: return second >= 0xc0;
    case 0x8f: return (second & 0x38) != 0;
    case 0x0f: return second == 0x0f;
    default: return false;
  }
}

constexpr unsigned kMaximumShape = 7;

uint32_t read_field(const InstructionField& field, const uint8_t* bytes) {
  uint32_t value = 0;
  std::memcpy(&value, bytes + field.offset, field.size);
  const unsigned unused = 32 - 8u * field.size;
  if (field.is_signed && unused != 0)
    value = static_cast<uint32_t>(static_cast<int32_t>(value << unused) >> unused);
  return value;
}

void fill(const InstructionFields& fields, const uint8_t* bytes, Instruction& i) {
  if (fields.displacement.size != 0) i.displacement = read_field(fields.displacement, bytes);
  if (fields.immediate.size != 0) i.immediate = read_field(fields.immediate, bytes);
  if (fields.immediate2.size != 0) i.immediate2 = static_cast<uint8_t>(read_field(fields.immediate2, bytes));
}

bool readable(const InstructionField& field) {
  return field.size <= 4;
}

}  // namespace

uint64_t instruction_shape(const uint8_t* bytes, unsigned available, bool code32) {
  unsigned length = 0;
  bool address16 = !code32;
  for (;; ++length) {
    // Room for an opcode of three bytes, ModRM and SIB; what lacks it is rare and takes the long way.
    if (length + 5 > available || length > kMaximumShape - 3) return 0;
    if (!is_prefix(bytes[length])) break;
    if (bytes[length] == 0x67) address16 = code32;
  }
  const uint8_t opcode = bytes[length++];
  if (is_other_encoding(opcode, bytes[length])) return 0;
  bool modrm = contains(kOneByteModrm, opcode);
  if (opcode == 0x0f) {
    const uint8_t second = bytes[length++];
    modrm = !contains(kTwoByteWithoutModrm, second);
    if (second == 0x38 || second == 0x3a) ++length;
  }
  if (modrm) {
    const uint8_t value = bytes[length++];
    if (!address16 && value < 0xc0 && (value & 7) == 4) ++length;
  }
  if (length > kMaximumShape || length > available) return 0;
  uint64_t shape = 0;
  std::memcpy(&shape, bytes, length);
  return shape | uint64_t{length} << 56 | uint64_t{code32} << 63;
}

bool DecodeTemplates::find(uint64_t shape, const uint8_t* bytes, unsigned available, Instruction& instruction,
                           Flow& flow, Encoding* encoding) const {
  const Entry& entry = entries_[slot(shape)];
  if (entry.shape != shape || entry.instruction.length > available) return false;
  instruction = entry.instruction;
  fill(entry.fields, bytes, instruction);
  flow = entry.flow;
  if (encoding != nullptr) {
    *encoding = entry.encoding;
    std::memcpy(encoding->bytes, bytes, encoding->length);
  }
  return true;
}

void DecodeTemplates::keep(uint64_t shape, const uint8_t* bytes, const Instruction& instruction, Flow flow,
                           const Encoding& encoding, const InstructionFields& fields) {
  if (!readable(fields.displacement) || !readable(fields.immediate) || !readable(fields.immediate2)) return;
  const unsigned length =
      shape_length(shape) + fields.displacement.size + fields.immediate.size + fields.immediate2.size;
  if (length != instruction.length) return;
  Instruction again = instruction;
  fill(fields, bytes, again);
  const bool same = again.displacement == instruction.displacement &&
                    again.immediate == instruction.immediate && again.immediate2 == instruction.immediate2;
  if (same) entries_[slot(shape)] = {shape, instruction, fields, encoding, flow};
}

}  // namespace vitrine::cpu
