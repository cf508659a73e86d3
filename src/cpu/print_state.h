// The processor's registers as text, for the monitor's `info registers` and for failure reports.
#pragma once

#include <string>

#include "cpu/cpu_state.h"

namespace vitrine::cpu {

/// General, segment, table, control and debug registers; several lines, each ended by a newline.
[[nodiscard]] std::string print_state(const CpuState& state);
/// The same with the x87 and SSE registers.
[[nodiscard]] std::string print_state_with_fpu(const CpuState& state);

}  // namespace vitrine::cpu
