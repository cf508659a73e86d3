// virtio-balloon: memory that the guest does without goes back to the host. The guest's driver takes pages
// from its own allocator and names them; their storage is given up, and reads as zeros when somebody touches
// it again.
//
// Documentation: OASIS "Virtual I/O Device (VIRTIO) Version 1.1", "Traditional Memory Balloon Device", and
// free page reporting of version 1.2. Implemented: inflate, deflate, deflate on out of memory, free page
// reporting. Missing: statistics, free page hints, page poison.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "devices/virtio_device.h"
#include "memory/ram_block.h"

namespace vitrine::devices {

class VirtioBalloon final : public VirtioDevice {
 public:
  static constexpr uint16_t kQueueSize = 128;
  /// Pages in one request; a driver names a few hundred.
  static constexpr uint64_t kMostPages = 16384;
  static constexpr uint64_t kDeflateOnOutOfMemory = 1 << 2;
  static constexpr uint64_t kReporting = 1 << 5;

  struct Options {
    bool deflate_on_out_of_memory = false;  ///< The guest may take pages back when it needs them.
    bool reporting = false;                 ///< The guest names what is free, without being asked.
  };

  /// `ram` is the machine's: only its pages are given up.
  VirtioBalloon(Clock& clock, memory::RamBlock& ram, Options options);
  void set_error_callback(std::function<void(const Error&)> callback) { report_ = std::move(callback); }

  /// How many pages the guest should do without.
  void ask_for(uint32_t pages);
  [[nodiscard]] uint32_t asked_for() const { return asked_for_; }
  /// How many it says that it does without.
  [[nodiscard]] uint32_t held() const { return held_; }

 private:
  [[nodiscard]] uint64_t device_features() const override;
  void fill_config(std::span<uint8_t> config) const override;
  void config_written(unsigned offset, uint8_t value) override;
  [[nodiscard]] std::optional<Served> handle(unsigned queue, const VirtqueueChain& chain,
                                             DmaMemory& memory) override;
  void reset_device() override { held_ = 0; }
  void serialize_device(StateArchive& archive) override;

  [[nodiscard]] std::optional<Served> inflate(const VirtqueueChain& chain, DmaMemory& memory);
  [[nodiscard]] Served take_reported(const VirtqueueChain& chain, DmaMemory& memory);
  /// Gives up whole pages of RAM among `pages` pages from `first`; what is no RAM stays as it is.
  void give_up(memory::PhysicalMap& map, uint64_t first, uint64_t pages);

  memory::RamBlock& ram_;
  Options options_;
  std::function<void(const Error&)> report_;
  bool reported_ = false;
  uint32_t asked_for_ = 0;
  uint32_t held_ = 0;
  std::vector<uint32_t> pages_;
};

}  // namespace vitrine::devices
