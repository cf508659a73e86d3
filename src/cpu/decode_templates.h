// What has been decoded before: instructions without their displacements and immediates, found by the bytes
// that say what an instruction is (its shape: prefixes, opcode, ModRM, SIB).
//
// Code that is written anew all the time, and code that runs once, costs little more than a look into this
// table instead of a decoding from the start. Direct-mapped; nothing in it depends on where code lies.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/instruction.h"

namespace vitrine::cpu {

/// Before an opcode. SDM Vol. 2A, "Instruction Prefixes".
[[nodiscard]] constexpr bool is_prefix(uint8_t byte) {
  switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3: return true;
    default: return false;
  }
}

/// The shape of the instruction that `bytes` begin with, as one number that is equal only for equal shapes in
/// the same mode; 0: too long, or of a kind that is not kept.
[[nodiscard]] uint64_t instruction_shape(const uint8_t* bytes, unsigned available, bool code32);
/// Length in bytes of a shape that is not 0.
[[nodiscard]] constexpr unsigned shape_length(uint64_t shape) {
  return static_cast<unsigned>(shape >> 56 & 7);
}

/// A number within an instruction's bytes. `size` 0: none.
struct InstructionField {
  uint8_t offset = 0;
  uint8_t size = 0;
  bool is_signed = false;
};

/// Which bytes of an instruction go where.
struct InstructionFields {
  InstructionField displacement;  ///< To Instruction::displacement.
  InstructionField immediate;     ///< To Instruction::immediate.
  InstructionField immediate2;    ///< To Instruction::immediate2.
};

class DecodeTemplates {
 public:
  /// Whether the shape is known. Then `instruction` is set as for new, eip_offset excepted. `bytes` are the
  /// `available` ones that the shape was made from; an instruction that goes on behind them is not known.
  /// `encoding` may be null.
  [[nodiscard]] bool find(uint64_t shape, const uint8_t* bytes, unsigned available, Instruction& instruction,
                          Flow& flow, Encoding* encoding) const;
  /// Keeps what `bytes` were decoded to, if the fields account for all that is behind the shape.
  void keep(uint64_t shape, const uint8_t* bytes, const Instruction& instruction, Flow flow,
            const Encoding& encoding, const InstructionFields& fields);

 private:
  struct Entry {
    uint64_t shape = 0;
    Instruction instruction{};
    InstructionFields fields;
    Encoding encoding{};  ///< But its bytes.
    Flow flow = Flow::Inline;
  };

  static constexpr unsigned kBits = 13;
  [[nodiscard]] static size_t slot(uint64_t shape) { return shape * 0x9e3779b97f4a7c15 >> (64 - kBits); }

  std::vector<Entry> entries_ = std::vector<Entry>(size_t{1} << kBits);
};

}  // namespace vitrine::cpu
