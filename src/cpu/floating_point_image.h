// Saving and restoring floating-point state in the formats that guest memory holds. All are built from
// core.state.fpu: the host's own instructions would store its 64-bit formats and the addresses of stubs.
// XSAVE and XRSTOR are not among them: no processor model shows them, and they are #UD.
#pragma once

#include "cpu/core.h"

namespace vitrine::cpu {

[[nodiscard]] bool fnstenv(Core& core, const Instruction& i);
[[nodiscard]] bool fldenv(Core& core, const Instruction& i);
[[nodiscard]] bool fnsave(Core& core, const Instruction& i);
[[nodiscard]] bool frstor(Core& core, const Instruction& i);
[[nodiscard]] bool fxsave(Core& core, const Instruction& i);
[[nodiscard]] bool fxrstor(Core& core, const Instruction& i);

}  // namespace vitrine::cpu
