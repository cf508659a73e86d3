// Guest memory as a bus master uses it that works in place: a disk reads straight into the guest's pages.
// Only storage counts as memory. What leads to a device's registers, to ROM (for writing) or to nothing is
// refused, so that no device can be made to operate another one, or itself, in the middle of its own work.
//
// Every page that is handed out for writing has been announced to its watchers first (docs/memory.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/addresses.h"
#include "memory/physical_map.h"
#include "memory/single_copy.h"

namespace vitrine::devices {

class DmaMemory {
 public:
  explicit DmaMemory(memory::PhysicalMap& map) : map_(map) {}

  /// The bytes at an address, as many of `size` as lie in one piece; none where no storage can be read.
  [[nodiscard]] std::span<const uint8_t> readable(uint64_t address, uint64_t size) const;
  /// The same for writing. The pages count as written: the bytes are to be filled before the guest goes on.
  [[nodiscard]] std::span<uint8_t> writable(uint64_t address, uint64_t size);

  /// All of it, or false. A write may then have been made in part.
  [[nodiscard]] bool read(uint64_t address, std::span<uint8_t> data) const;
  [[nodiscard]] bool write(uint64_t address, std::span<const uint8_t> data);

  /// One aligned number, whole, as other processors see it.
  template <typename T>
  [[nodiscard]] std::optional<T> load(uint64_t address) const {
    const std::span<const uint8_t> bytes = readable(address, sizeof(T));
    if (bytes.size() < sizeof(T)) return std::nullopt;
    T value{};
    memory::single_copy(&value, bytes.data(), sizeof(T));
    return value;
  }
  template <typename T>
  [[nodiscard]] bool store(uint64_t address, T value) {
    const std::span<uint8_t> bytes = writable(address, sizeof(T));
    if (bytes.size() < sizeof(T)) return false;
    memory::single_copy(bytes.data(), &value, sizeof(T));
    return true;
  }

  [[nodiscard]] memory::PhysicalMap& map() { return map_; }

 private:
  [[nodiscard]] uint64_t piece(const memory::Region& region, PhysicalAddress where, uint64_t size) const;

  memory::PhysicalMap& map_;
};

}  // namespace vitrine::devices
