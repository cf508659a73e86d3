// Told of accesses that nobody answers: for the event log.
#pragma once

#include <cstdint>

namespace vitrine::memory {

enum class AccessDirection : uint8_t { Read, Write };

class UnmappedListener {
 public:
  virtual ~UnmappedListener() = default;
  /// `value`: what is written. `size` in bytes.
  virtual void unmapped_port(uint16_t port, unsigned size, AccessDirection direction, uint32_t value) = 0;
  virtual void unmapped_memory(uint64_t address, unsigned size, AccessDirection direction,
                               uint64_t value) = 0;
};

}  // namespace vitrine::memory
