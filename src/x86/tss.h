// Layout of the task-state segment. SDM Vol. 3A, "Task-State Segment (TSS)" and "16-Bit Task-State Segment".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

/// Byte offsets in the 32-bit TSS. Registers are doublewords, selectors words in the lower half of one.
namespace tss32 {
inline constexpr uint32_t kBacklink = 0x00;
inline constexpr uint32_t kEsp0 = 0x04;  ///< ESP0, SS0, ESP1, SS1, ESP2, SS2: eight bytes a level.
inline constexpr uint32_t kSs0 = 0x08;
inline constexpr uint32_t kCr3 = 0x1c;
inline constexpr uint32_t kEip = 0x20;
inline constexpr uint32_t kEflags = 0x24;
inline constexpr uint32_t kGpr = 0x28;       ///< EAX…EDI in encoding order.
inline constexpr uint32_t kSegments = 0x48;  ///< ES, CS, SS, DS, FS, GS in encoding order.
inline constexpr uint32_t kLdt = 0x60;
inline constexpr uint32_t kTrap = 0x64;       ///< Bit 0: debug trap on switching in.
inline constexpr uint32_t kIoMapBase = 0x66;  ///< A word.
/// The smallest acceptable limit.
inline constexpr uint32_t kMinimumLimit = 0x67;
/// The interrupt redirection bitmap ends where the I/O bitmap begins.
inline constexpr uint32_t kRedirectionBytes = 32;
}  // namespace tss32

/// Byte offsets in the 16-bit TSS. Everything is a word.
namespace tss16 {
inline constexpr uint32_t kBacklink = 0x00;
inline constexpr uint32_t kSp0 = 0x02;  ///< SP0, SS0, SP1, …: four bytes a level.
inline constexpr uint32_t kSs0 = 0x04;
inline constexpr uint32_t kIp = 0x0e;
inline constexpr uint32_t kFlags = 0x10;
inline constexpr uint32_t kGpr = 0x12;
inline constexpr uint32_t kSegments = 0x22;  ///< ES, CS, SS, DS.
inline constexpr uint32_t kLdt = 0x2a;
inline constexpr uint32_t kMinimumLimit = 0x2b;
}  // namespace tss16

/// Highest byte offset that a switch to the task, or taking a stack from it, needs.
[[nodiscard]] constexpr uint32_t minimum_tss_limit(bool is_32bit) {
  return is_32bit ? tss32::kMinimumLimit : tss16::kMinimumLimit;
}

}  // namespace vitrine::x86
