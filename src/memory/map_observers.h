// Who may look at everything that goes through a PhysicalMap: for recording a machine.
#pragma once

#include <cstdint>

#include "base/addresses.h"

namespace vitrine::memory {

class MemoryDevice;
class RamBlock;

/// Hears of every write that is not a processor's fast one, before it happens, watched page or not.
class WriteObserver {
 public:
  virtual ~WriteObserver() = default;
  virtual void write_noted(RamBlock& block, uint64_t page) = 0;
};

/// Stands between the map and its devices: makes the single accesses to them that come through the map.
class DeviceGate {
 public:
  virtual ~DeviceGate() = default;
  [[nodiscard]] virtual uint64_t read_device(MemoryDevice& device, uint64_t offset, PhysicalAddress address,
                                             unsigned size) = 0;
  virtual void write_device(MemoryDevice& device, uint64_t offset, PhysicalAddress address, unsigned size,
                            uint64_t value) = 0;
};

}  // namespace vitrine::memory
