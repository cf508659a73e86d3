// virtio-console: one console port, the guest's hvc0.
//
// Documentation: OASIS "Virtual I/O Device (VIRTIO) Version 1.1", "Console Device". Implemented: port 0,
// emergency write. Missing: several ports on one device, the size of the terminal (nobody tells it to us).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "devices/character_backend.h"
#include "devices/virtio_device.h"

namespace vitrine::devices {

class VirtioConsole final : public VirtioDevice, private CharacterReceiver {
 public:
  static constexpr uint16_t kQueueSize = 128;
  static constexpr uint64_t kEmergencyWrite = 1 << 2;
  /// What is taken from outside at a time.
  static constexpr uint64_t kMostReceived = 4096;
  /// The longest output of one chain; more is no console's.
  static constexpr uint64_t kMostSent = 1 << 20;

  /// The backend must outlive the device.
  VirtioConsole(Clock& clock, CharacterBackend& backend);
  ~VirtioConsole() override;

 private:
  [[nodiscard]] uint64_t device_features() const override { return kEmergencyWrite; }
  void fill_config(std::span<uint8_t> config) const override;
  void config_written(unsigned offset, uint8_t value) override;
  void process_queue(unsigned queue) override;
  [[nodiscard]] std::optional<Served> handle(unsigned queue, const VirtqueueChain& chain,
                                             DmaMemory& memory) override;
  void reset_device() override { room_ = 0; }
  void serialize_device(StateArchive& archive) override;

  // CharacterReceiver.
  [[nodiscard]] size_t receive_capacity() const override { return room_; }
  void receive(std::span<const uint8_t> data) override;
  void look_for_room();

  CharacterBackend& backend_;
  uint32_t room_ = 0;  // bytes of the receive queue's next chain
  VirtqueueChain received_;
  std::vector<std::span<const uint8_t>> pieces_;
};

}  // namespace vitrine::devices
