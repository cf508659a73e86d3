// The encodings of MMX and SSE instructions that a stub of host code can execute, one row each: what
// interpret_vector.cc makes stubs from, and what tests (and a translator) enumerate. Instructions with a
// function of their own (FXSAVE, MASKMOVQ, LDMXCSR and so on) are not here.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/cpu_model.h"
#include "cpu/operation.h"

namespace vitrine::cpu {

enum class VectorOperand : uint8_t { None, Xmm, Mmx, General };

/// Properties of a VectorForm. Bits.
enum VectorTrait : uint16_t {
  kVectorAligned = 1,        ///< A memory operand must be aligned to 16 bytes.
  kVectorStore = 2,          ///< The r/m operand is the destination.
  kVectorMxcsr = 4,          ///< Depends on MXCSR and may raise floating-point exceptions.
  kVectorFlags = 8,          ///< Sets the arithmetic flags.
  kVectorXmm0 = 16,          ///< Reads XMM0 besides its operands.
  kVectorImmediate = 32,     ///< An immediate byte follows.
  kVectorMemoryOnly = 64,    ///< The r/m operand is memory.
  kVectorStringIndex = 128,  ///< PCMPxSTRI: reads EAX and EDX, writes ECX.
  kVectorStringMask = 256,   ///< PCMPxSTRM: reads EAX and EDX, writes XMM0.
};

inline constexpr uint8_t kNoExtension = 0xff;

struct VectorForm {
  Operation operation = Operation::Invalid;
  Feature feature = Feature::Count;
  uint8_t map = 1;     ///< 1: 0F, 2: 0F 38, 3: 0F 3A.
  uint8_t prefix = 0;  ///< Mandatory: 0, 66h, F2h, F3h.
  uint8_t opcode = 0;
  uint8_t extension = kNoExtension;  ///< ModRM.reg where it belongs to the opcode.
  VectorOperand reg = VectorOperand::None;
  VectorOperand rm = VectorOperand::None;
  uint8_t memory_size = 0;  ///< Bytes of a memory operand; 0: register only.
  uint16_t traits = 0;

  [[nodiscard]] constexpr bool has(VectorTrait trait) const { return (traits & trait) != 0; }
};

[[nodiscard]] std::span<const VectorForm> vector_forms();
/// The row of an encoding, or null. `extension` is ModRM.reg; looked at where it belongs to the opcode.
[[nodiscard]] const VectorForm* find_vector_form(uint8_t map, uint8_t prefix, uint8_t opcode,
                                                 uint8_t extension);

}  // namespace vitrine::cpu
