// Saving and restoring floating-point state in the formats that guest memory holds. All are built from
// core.state.fpu: the host's own instructions would store its 64-bit formats and the addresses of stubs.
// XSAVE and its relatives: extended_state.h.
#pragma once

#include <span>

#include "cpu/core.h"

namespace vitrine::cpu {

[[nodiscard]] bool fnstenv(Core& core, const Instruction& i);
[[nodiscard]] bool fldenv(Core& core, const Instruction& i);
[[nodiscard]] bool fnsave(Core& core, const Instruction& i);
[[nodiscard]] bool frstor(Core& core, const Instruction& i);
[[nodiscard]] bool fxsave(Core& core, const Instruction& i);
[[nodiscard]] bool fxrstor(Core& core, const Instruction& i);

// Parts of the FXSAVE image, which is also the legacy region of the XSAVE area. `image` reaches to the XMM
// registers at least.

/// Control to data pointer, and the stack.
void put_x87_image(FloatingPointState& fpu, std::span<uint8_t> image);
void take_x87_image(FloatingPointState& fpu, std::span<const uint8_t> image);
/// MXCSR and its mask.
void put_mxcsr_image(Core& core, std::span<uint8_t> image);

}  // namespace vitrine::cpu
