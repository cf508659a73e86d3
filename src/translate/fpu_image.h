// The guest's x87, MMX and SSE state between its architectural form and the image that FXSAVE64 and FXRSTOR64
// use. The upper halves of YMM registers are no part of it.
#pragma once

#include <array>
#include <cstdint>

#include "cpu/cpu_state.h"

namespace vitrine::translate {

using FpuImage = std::array<uint8_t, 512>;

void to_image(cpu::FloatingPointState& fpu, FpuImage& image);
/// Leaves the last instruction's and operand's places alone; returns the host's address of the last
/// instruction.
uint64_t from_image(const FpuImage& image, cpu::FloatingPointState& fpu);

}  // namespace vitrine::translate
