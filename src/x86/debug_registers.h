// DR6 and DR7. SDM Vol. 3B, "Debug Registers".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

inline constexpr unsigned kBreakpointCount = 4;

// DR6.
inline constexpr uint32_t kDr6Hits = 0xf;                ///< B0–B3
inline constexpr uint32_t kDr6GeneralDetect = 1u << 13;  ///< BD
inline constexpr uint32_t kDr6SingleStep = 1u << 14;     ///< BS
inline constexpr uint32_t kDr6TaskSwitch = 1u << 15;     ///< BT
/// Reads as ones. (Bit 16, RTM, is one too where there is no transactional memory.)
inline constexpr uint32_t kDr6Fixed = 0xffff0ff0;
inline constexpr uint32_t kDr6Writable = kDr6Hits | kDr6GeneralDetect | kDr6SingleStep | kDr6TaskSwitch;

// DR7.
inline constexpr uint32_t kDr7Fixed = 1u << 10;  ///< Reads as one.
inline constexpr uint32_t kDr7GeneralDetect = 1u << 13;
/// LE and GE, L0–G3, GD, R/W and LEN fields.
inline constexpr uint32_t kDr7Writable = 0xffff23ff;
/// L0–L3, cleared by a task switch.
inline constexpr uint32_t kDr7LocalEnables = 0x55;
/// LE, cleared with them.
inline constexpr uint32_t kDr7LocalExact = 1u << 8;

/// What a breakpoint waits for: R/Wn.
enum class BreakpointKind : uint8_t { Execute = 0, Write = 1, Io = 2, ReadWrite = 3 };

[[nodiscard]] constexpr bool breakpoint_enabled(uint32_t dr7, unsigned n) {
  return (dr7 >> (2 * n) & 3) != 0;
}
[[nodiscard]] constexpr BreakpointKind breakpoint_kind(uint32_t dr7, unsigned n) {
  return static_cast<BreakpointKind>(dr7 >> (16 + 4 * n) & 3);
}
[[nodiscard]] constexpr bool breakpoint_enabled_for(uint32_t dr7, unsigned n, BreakpointKind kind) {
  return breakpoint_enabled(dr7, n) && breakpoint_kind(dr7, n) == kind;
}
/// In bytes. The encoding 10b means 8 bytes only in 64-bit mode; here it is undefined and taken as 8.
[[nodiscard]] constexpr uint32_t breakpoint_length(uint32_t dr7, unsigned n) {
  constexpr uint32_t kLengths[4] = {1, 2, 8, 4};
  return kLengths[dr7 >> (18 + 4 * n) & 3];
}

}  // namespace vitrine::x86
