// EFLAGS. SDM Vol. 1, "EFLAGS Register".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

inline constexpr uint32_t kCf = 1u << 0;
inline constexpr uint32_t kFlagsFixed = 1u << 1;  ///< Reads as one, always.
inline constexpr uint32_t kPf = 1u << 2;
inline constexpr uint32_t kAf = 1u << 4;
inline constexpr uint32_t kZf = 1u << 6;
inline constexpr uint32_t kSf = 1u << 7;
inline constexpr uint32_t kTf = 1u << 8;
inline constexpr uint32_t kIf = 1u << 9;
inline constexpr uint32_t kDf = 1u << 10;
inline constexpr uint32_t kOf = 1u << 11;
inline constexpr uint32_t kIopl = 3u << 12;
inline constexpr unsigned kIoplShift = 12;
inline constexpr uint32_t kNt = 1u << 14;
inline constexpr uint32_t kRf = 1u << 16;
inline constexpr uint32_t kVm = 1u << 17;
inline constexpr uint32_t kAc = 1u << 18;
inline constexpr uint32_t kVif = 1u << 19;
inline constexpr uint32_t kVip = 1u << 20;
inline constexpr uint32_t kId = 1u << 21;

/// The six that arithmetic changes.
inline constexpr uint32_t kArithmeticFlags = kCf | kPf | kAf | kZf | kSf | kOf;
/// Every bit that exists.
inline constexpr uint32_t kFlagsDefined =
    kArithmeticFlags | kTf | kIf | kDf | kIopl | kNt | kRf | kVm | kAc | kVif | kVip | kId | kFlagsFixed;

}  // namespace vitrine::x86
