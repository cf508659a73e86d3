// Names of virtio device types, for whoever configures a machine.
#pragma once

#include <cstdint>
#include <string_view>

namespace vitrine::devices {

/// VIRTIO 1.1, "Device Types".
enum class VirtioId : uint8_t { Block = 2, Console = 3, Entropy = 4, Balloon = 5 };

[[nodiscard]] constexpr std::string_view name(VirtioId id) {
  switch (id) {
    case VirtioId::Block: return "virtio-blk";
    case VirtioId::Console: return "virtio-console";
    case VirtioId::Entropy: return "virtio-rng";
    case VirtioId::Balloon: return "virtio-balloon";
  }
  return "virtio";
}

/// Which drivers find a device: those before VIRTIO 1.0, those since, or both (a transitional device).
enum class VirtioInterfaces : uint8_t { Legacy, Modern, Both };

}  // namespace vitrine::devices
