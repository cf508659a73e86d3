// One instruction with the state before it, and what became of it. The same for the host and for the
// interpreter.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace vitrine::differential {

// Where code and data lie, in the guest and in the test's own process alike. Around them nothing is mapped.
inline constexpr uint32_t kCodeBase = 0x20000000;
inline constexpr uint32_t kCodeSize = 0x1000;
inline constexpr uint32_t kDataBase = 0x20010000;
inline constexpr uint32_t kDataSize = 0x2000;
inline constexpr uint32_t kWindowSize = 160;  ///< Bytes of data that a case chooses itself.

/// The legacy region of FXSAVE64 as far as 32-bit code sees it: header, ST0–ST7, XMM0–XMM7.
inline constexpr size_t kUnitSize = 288;
/// The upper halves of YMM0–YMM7.
inline constexpr size_t kYmmHighSize = 128;

struct MachineState {
  std::array<uint32_t, 8> gpr{};
  uint32_t eip = 0;
  uint32_t eflags = 0;
  alignas(16) std::array<uint8_t, kUnitSize> unit{};
  alignas(16) std::array<uint8_t, kYmmHighSize> ymm_high{};
};

inline constexpr uint8_t kNoVector = 0xff;

struct TestCase {
  std::array<uint8_t, 15> bytes{};
  uint8_t length = 0;
  bool repeats =
      false;          ///< A string instruction with a repeat prefix: single steps stop after each iteration.
  unsigned form = 0;  ///< Index into Forms.
  MachineState before;
  uint32_t window = 0;  ///< Offset in the data area of…
  std::array<uint8_t, kWindowSize> window_bytes{};
};

/// All of the code page: the instruction and zeroes, so that what an earlier case stored there is gone.
inline std::array<uint8_t, kCodeSize> code_page(const TestCase& test) {
  std::array<uint8_t, kCodeSize> page{};
  const uint32_t at = test.before.eip - kCodeBase;
  std::copy_n(test.bytes.begin(), std::min<size_t>(test.length, kCodeSize - at), page.begin() + at);
  return page;
}

struct Outcome {
  uint8_t vector = kNoVector;
  uint32_t error_code = 0;
  uint32_t fault_address = 0;  ///< Page faults.
  MachineState after;
  std::array<uint8_t, kDataSize> data{};
};

}  // namespace vitrine::differential
