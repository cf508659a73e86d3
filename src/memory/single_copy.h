// Copying what a processor reads or writes in one access: other processors may use the same bytes at the same
// time, and must see all of them change or none.
#pragma once

#include <cstdint>
#include <cstring>

namespace vitrine::memory {

/// 1, 2, 4 or 8 bytes go in one access of the host, so that what is aligned is never seen in parts, and is
/// written once. Other sizes go as they come.
inline void single_copy(void* to, const void* from, unsigned size) {
  const auto copy = [=]<typename T>(T /*unit*/) {
    T value;
    std::memcpy(&value, from, sizeof value);
    std::memcpy(to, &value, sizeof value);
  };
  switch (size) {
    case 1: return copy(uint8_t{});
    case 2: return copy(uint16_t{});
    case 4: return copy(uint32_t{});
    case 8: return copy(uint64_t{});
    default: std::memcpy(to, from, size);
  }
}

}  // namespace vitrine::memory
