// The image of the host's own FXSAVE64 and FXRSTOR64. What guests store has another layout: see
// floating_point_image.h. SDM Vol. 1, "FXSAVE Area".
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "cpu/cpu_state.h"

namespace vitrine::cpu {

struct Fxsave64Header {
  uint16_t control;
  uint16_t status;
  uint8_t tags;  ///< Abridged.
  uint8_t reserved;
  uint16_t opcode;
  uint64_t instruction_pointer;
  uint64_t data_pointer;
  uint32_t mxcsr;
  uint32_t mxcsr_mask;
};
static_assert(sizeof(Fxsave64Header) == 32);
inline constexpr size_t kFxsaveStack = 32;  ///< ST(0) to ST(7), sixteen bytes each.
inline constexpr size_t kFxsaveXmm = 160;

/// Where ST(n) is, by the top of the stack in `fpu.status`.
[[nodiscard]] inline std::array<uint8_t, 16>& stack_register(FloatingPointState& fpu, unsigned n) {
  return fpu.registers[((fpu.status >> 11) + n) & 7];
}

inline void put_stack(FloatingPointState& fpu, uint8_t* image) {
  for (unsigned n = 0; n < 8; ++n)
    std::memcpy(image + kFxsaveStack + 16 * n, stack_register(fpu, n).data(), 10);
}
/// After `fpu.status`.
inline void take_stack(const uint8_t* image, FloatingPointState& fpu) {
  for (unsigned n = 0; n < 8; ++n)
    std::memcpy(stack_register(fpu, n).data(), image + kFxsaveStack + 16 * n, 10);
}

}  // namespace vitrine::cpu
