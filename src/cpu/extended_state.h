// XSAVE, XSAVEOPT and XRSTOR in the standard format, for the state components of XCR0 that exist here: x87,
// SSE, AVX. The compacted format and supervisor components are not shown by CPUID.
#pragma once

#include "cpu/core.h"

namespace vitrine::cpu {

[[nodiscard]] bool xsave(Core& core, const Instruction& i);
[[nodiscard]] bool xsaveopt(Core& core, const Instruction& i);
[[nodiscard]] bool xrstor(Core& core, const Instruction& i);

}  // namespace vitrine::cpu
