// What a fuzz target is. Each target is one source file with two functions:
//
//   extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);   what libFuzzer calls, too
//   std::vector<Input> vitrine::fuzz::seeds();                                 inputs worth starting from
//
// It is driven by libFuzzer (preset `fuzz`) or by fuzz_main.cc (every other preset). Nothing is expected of a
// target but that it returns, soon, for any bytes at all; what it finds wrong it says with CHECK.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vitrine::fuzz {

using Input = std::vector<uint8_t>;

/// Inputs that lead deep into the code; mutation starts from them. The same on every call.
[[nodiscard]] std::vector<Input> seeds();

/// Bytes that look random; the same for the same number. For targets whose inputs have no structure.
[[nodiscard]] inline Input noise(uint64_t number, size_t size) {
  Input bytes(size);
  uint64_t state = number * 0x9e3779b97f4a7c15 + 1;
  for (uint8_t& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<uint8_t>(state >> 32);
  }
  return bytes;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
