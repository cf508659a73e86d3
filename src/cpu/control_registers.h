// Loads of control registers that are shared by MOV, LMSW, task switches and reset.
#pragma once

#include "cpu/core.h"

namespace vitrine::cpu {

/// With all of MOV's checks, except privilege. False: core.fault, nothing has changed.
[[nodiscard]] bool load_cr0(Core& core, uint32_t value);
[[nodiscard]] bool load_cr3(Core& core, uint32_t value);
[[nodiscard]] bool load_cr4(Core& core, uint32_t value);

/// Bits of CR4 that this processor model has.
[[nodiscard]] uint32_t defined_cr4(const CpuModel& model);

}  // namespace vitrine::cpu
