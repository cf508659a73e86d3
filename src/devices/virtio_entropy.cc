#include "devices/virtio_entropy.h"

#include <algorithm>

namespace vitrine::devices {

std::optional<VirtioDevice::Served> VirtioEntropy::handle(unsigned /*queue*/, const VirtqueueChain& chain,
                                                          DmaMemory& memory) {
  // "The driver MUST NOT place driver-readable buffers", and the device must give a byte at least.
  if (chain.readable_size() != 0 || chain.writable_size() == 0) return std::nullopt;
  const uint64_t bytes = std::min(chain.writable_size(), kMostBytes);
  pieces_.clear();
  if (!chain.find_writable(memory, 0, bytes, pieces_)) return std::nullopt;
  for (const std::span<uint8_t> piece : pieces_) {
    if (!source_(piece)) return std::nullopt;
  }
  return Served{static_cast<uint32_t>(bytes), bytes};
}

}  // namespace vitrine::devices
