// The names and numbers of the IA-32 registers, as instruction encodings number them.
// SDM Vol. 2A, "Instruction Format", table "Register Codes".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

enum Gpr : uint8_t { kEax, kEcx, kEdx, kEbx, kEsp, kEbp, kEsi, kEdi };
inline constexpr unsigned kGprCount = 8;

enum Segment : uint8_t { kEs, kCs, kSs, kDs, kFs, kGs };
inline constexpr unsigned kSegmentCount = 6;

}  // namespace vitrine::x86
