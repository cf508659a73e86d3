// CR0, CR4, EFER. SDM Vol. 3A, "Control Registers"; EFER: SDM Vol. 4.
#pragma once

#include <cstdint>

namespace vitrine::x86 {

inline constexpr uint32_t kCr0Pe = 1u << 0;
inline constexpr uint32_t kCr0Mp = 1u << 1;
inline constexpr uint32_t kCr0Em = 1u << 2;
inline constexpr uint32_t kCr0Ts = 1u << 3;
inline constexpr uint32_t kCr0Et = 1u << 4;
inline constexpr uint32_t kCr0Ne = 1u << 5;
inline constexpr uint32_t kCr0Wp = 1u << 16;
inline constexpr uint32_t kCr0Am = 1u << 18;
inline constexpr uint32_t kCr0Nw = 1u << 29;
inline constexpr uint32_t kCr0Cd = 1u << 30;
inline constexpr uint32_t kCr0Pg = 1u << 31;

inline constexpr uint32_t kCr4Vme = 1u << 0;
inline constexpr uint32_t kCr4Pvi = 1u << 1;
inline constexpr uint32_t kCr4Tsd = 1u << 2;
inline constexpr uint32_t kCr4De = 1u << 3;
inline constexpr uint32_t kCr4Pse = 1u << 4;
inline constexpr uint32_t kCr4Pae = 1u << 5;
inline constexpr uint32_t kCr4Mce = 1u << 6;
inline constexpr uint32_t kCr4Pge = 1u << 7;
inline constexpr uint32_t kCr4Pce = 1u << 8;
inline constexpr uint32_t kCr4Osfxsr = 1u << 9;
inline constexpr uint32_t kCr4Osxmmexcpt = 1u << 10;
inline constexpr uint32_t kCr4Osxsave = 1u << 18;

inline constexpr uint64_t kEferNxe = uint64_t{1} << 11;

}  // namespace vitrine::x86
