// The VEX encodings of AVX, AVX2, FMA and F16C that a stub of host code can execute, one row each: what
// interpret_avx.cc makes stubs from, what the translator may emit, and what tests enumerate. Masked moves,
// gathers and what concerns the state as a whole have functions of their own and are not here.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/dispatch.h"
#include "cpu/vector_forms.h"

namespace vitrine::cpu {

/// Properties of a VexForm. Bits.
enum VexTrait : uint16_t {
  kVexAligned = 1,        ///< A memory operand must be aligned to its size.
  kVexStore = 2,          ///< The r/m operand is the destination.
  kVexMxcsr = 4,          ///< Depends on MXCSR and may raise floating-point exceptions.
  kVexFlags = 8,          ///< Sets the arithmetic flags.
  kVexImmediate = 16,     ///< An immediate byte follows.
  kVexReadsReg = 32,      ///< The reg operand is a source (too).
  kVexToVvvv = 64,        ///< vvvv is the destination.
  kVexIs4 = 128,          ///< The immediate's upper half names a register.
  kVexStringIndex = 256,  ///< VPCMPxSTRI: reads EAX and EDX, writes ECX.
  kVexStringMask = 512,   ///< VPCMPxSTRM: reads EAX and EDX, writes XMM0.
  kVex256NeedsAvx2 = 1024,
};

/// Which vector lengths (VEX.L) exist.
enum class VexLengths : uint8_t {
  Scalar,  ///< VEX.L is ignored.
  Only128,
  Only256,
  Both,
};

inline constexpr uint8_t kVexAnyW = 2;

struct VexForm {
  Operation operation = Operation::Invalid;
  Feature feature = Feature::Count;  ///< Besides AVX.
  uint8_t map = 1;                   ///< 1: 0F, 2: 0F 38, 3: 0F 3A.
  uint8_t prefix = 0;                ///< What VEX.pp stands for: 0, 66h, F2h, F3h.
  uint8_t opcode = 0;
  uint8_t extension = kNoExtension;  ///< ModRM.reg where it belongs to the opcode.
  Location location = Location::Any;
  VexLengths lengths = VexLengths::Both;
  uint8_t w = kVexAnyW;  ///< VEX.W, or kVexAnyW.
  VectorOperand reg = VectorOperand::None;
  VectorOperand vvvv = VectorOperand::None;  ///< None: VEX.vvvv must be 1111.
  VectorOperand rm = VectorOperand::None;
  uint8_t memory_size128 = 0, memory_size256 = 0;  ///< Bytes of a memory operand, by VEX.L.
  uint16_t traits = 0;

  [[nodiscard]] constexpr bool has(VexTrait trait) const { return (traits & trait) != 0; }
  /// VEX.L of the host's instruction.
  [[nodiscard]] constexpr uint8_t length(uint8_t vex_l) const {
    return lengths == VexLengths::Scalar ? uint8_t{0} : vex_l;
  }
  [[nodiscard]] constexpr uint8_t memory_size(uint8_t vex_l) const {
    return vex_l != 0 ? memory_size256 : memory_size128;
  }
  /// Whether the model has it.
  [[nodiscard]] bool exists(const CpuModel& model, uint8_t vex_l) const;
};

[[nodiscard]] std::span<const VexForm> vex_forms();
/// The row of an encoding, or null.
[[nodiscard]] const VexForm* find_vex_form(const Encoding& encoding);

// What has no row.

/// VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ.
[[nodiscard]] bool is_masked_move(Operation operation);
/// VGATHERxPx, VPGATHERxx.
[[nodiscard]] bool is_gather(Operation operation);

/// VEX.pp of a mandatory prefix.
[[nodiscard]] constexpr uint8_t vex_pp(uint8_t prefix) {
  switch (prefix) {
    case 0x66: return 1;
    case 0xf3: return 2;
    case 0xf2: return 3;
    default: return 0;
  }
}

}  // namespace vitrine::cpu
