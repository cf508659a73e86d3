// What an ATA channel's devices see of the bus master that moves their data: implemented by BusMasterIde.
#pragma once

#include <cstdint>
#include <span>

namespace vitrine::devices {

class AtaDmaEngine {
 public:
  virtual ~AtaDmaEngine() = default;

  /// Whether the guest has started the engine and it still has memory to move to or from.
  [[nodiscard]] virtual bool started() const = 0;
  /// Moves the device's data into memory, or memory to the device. Returns how many bytes were moved: fewer
  /// than asked for when the guest's descriptors end or are bad; started() is false from then on.
  virtual size_t to_memory(std::span<const uint8_t> data) = 0;
  virtual size_t from_memory(std::span<uint8_t> data) = 0;
  /// The channel's interrupt wire.
  virtual void interrupt_changed(bool level) = 0;
};

}  // namespace vitrine::devices
