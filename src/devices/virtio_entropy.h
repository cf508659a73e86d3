// virtio-rng: random numbers for the guest's pool.
//
// Documentation: OASIS "Virtual I/O Device (VIRTIO) Version 1.1", "Entropy Device": all of it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "devices/virtio_device.h"

namespace vitrine::devices {

class VirtioEntropy final : public VirtioDevice {
 public:
  static constexpr uint16_t kQueueSize = 8;
  /// Bytes for one request; the driver asks again.
  static constexpr uint64_t kMostBytes = 4096;
  /// Fills its argument with random bytes. False: the host has none.
  using Source = std::function<bool(std::span<uint8_t>)>;

  VirtioEntropy(Clock& clock, Source source)
      : VirtioDevice(clock, VirtioId::Entropy, {kQueueSize}), source_(std::move(source)) {}

 private:
  [[nodiscard]] uint64_t device_features() const override { return 0; }
  void fill_config(std::span<uint8_t> /*config*/) const override {}
  [[nodiscard]] std::optional<Served> handle(unsigned queue, const VirtqueueChain& chain,
                                             DmaMemory& memory) override;

  Source source_;
  std::vector<std::span<uint8_t>> pieces_;
};

}  // namespace vitrine::devices
