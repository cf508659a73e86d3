// Whether two processors, or two pages of memory, are the same; and if not, in what, as text.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "cpu/cpu_state.h"

namespace vitrine::lockstep {

/// Everything in CpuState but what native execution does not keep exactly: the places of the last x87
/// instruction and operand (FOP, FIP, FCS, FDP, FDS). Processors keep them differently, many only after an
/// unmasked exception or without selectors. SDM Vol. 1, "x87 FPU Instruction and Data (Operand) Pointers".
[[nodiscard]] bool same_state(const cpu::CpuState& a, const cpu::CpuState& b);

/// One line for each field that differs: name, interpreter, translator.
[[nodiscard]] std::string describe_difference(const cpu::CpuState& interpreter,
                                              const cpu::CpuState& translator);

/// One line for each of the first doublewords that differ. `address` is that of the first byte.
[[nodiscard]] std::string describe_difference(uint64_t address, std::span<const uint8_t> interpreter,
                                              std::span<const uint8_t> translator);

}  // namespace vitrine::lockstep
