// XCR0 and the XSAVE area. SDM Vol. 1, "Managing State Using the XSAVE Feature Set".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

// State components: bits of XCR0, XSTATE_BV and the masks of the instructions.
inline constexpr uint64_t kXstateX87 = 1;
inline constexpr uint64_t kXstateSse = 2;
inline constexpr uint64_t kXstateAvx = 4;

// The area in its standard format. What 32-bit mode does not reach (XMM8–15, YMM8–15) has its place in it.
inline constexpr uint32_t kXsaveHeader = 512;
inline constexpr uint32_t kXsaveHeaderSize = 64;
inline constexpr uint32_t kXsaveAvx = kXsaveHeader + kXsaveHeaderSize;
inline constexpr uint32_t kXsaveAvxSize = 256;
inline constexpr uint32_t kXsaveAlignment = 64;

/// Bytes of an area for these components.
[[nodiscard]] constexpr uint32_t xsave_size(uint64_t components) {
  return (components & kXstateAvx) != 0 ? kXsaveAvx + kXsaveAvxSize : kXsaveAvx;
}

}  // namespace vitrine::x86
