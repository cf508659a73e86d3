// The six arithmetic flags as the interpreter keeps them between instructions: what LAHF leaves in AH (SF ZF
// 0 AF 0 PF 1 CF) in bits 8–15 and OF (0 or 1) in bits 0–7, that is AX after `lahf; seto %al`. To give them
// back to the host's flags: `add $0x7f, %al; sahf`.
#pragma once

#include <cstdint>

#include "x86/flags.h"

namespace vitrine::cpu {

using ArithmeticFlags = uint16_t;

inline constexpr ArithmeticFlags kFlagO = 1;
inline constexpr ArithmeticFlags kFlagC = x86::kCf << 8;
inline constexpr ArithmeticFlags kFlagP = x86::kPf << 8;
inline constexpr ArithmeticFlags kFlagA = x86::kAf << 8;
inline constexpr ArithmeticFlags kFlagZ = x86::kZf << 8;
inline constexpr ArithmeticFlags kFlagS = x86::kSf << 8;

[[nodiscard]] constexpr ArithmeticFlags pack_flags(uint32_t eflags) {
  return static_cast<ArithmeticFlags>((eflags & 0xd5) << 8 | 0x200 | (eflags >> 11 & 1));
}

[[nodiscard]] constexpr uint32_t unpack_flags(ArithmeticFlags flags) {
  return (uint32_t{flags} >> 8 & 0xd5) | (flags & 1u) << 11;
}

/// The sixteen conditions by the low four bits of Jcc, SETcc and CMOVcc. SDM Vol. 1, "EFLAGS Condition
/// Codes".
template <unsigned Condition>
[[nodiscard]] inline bool condition(ArithmeticFlags flags) {
  static_assert(Condition < 16);
  bool result = false;
  if constexpr (Condition >> 1 == 0) result = (flags & kFlagO) != 0;
  if constexpr (Condition >> 1 == 1) result = (flags & kFlagC) != 0;
  if constexpr (Condition >> 1 == 2) result = (flags & kFlagZ) != 0;
  if constexpr (Condition >> 1 == 3) result = (flags & (kFlagC | kFlagZ)) != 0;
  if constexpr (Condition >> 1 == 4) result = (flags & kFlagS) != 0;
  if constexpr (Condition >> 1 == 5) result = (flags & kFlagP) != 0;
  if constexpr (Condition >> 1 == 6) result = ((flags >> 15 ^ flags) & 1) != 0;
  if constexpr (Condition >> 1 == 7) result = ((flags >> 15 ^ flags) & 1) != 0 || (flags & kFlagZ) != 0;
  return (Condition & 1) != 0 ? !result : result;
}

}  // namespace vitrine::cpu
