// virtio-blk: a disk.
//
// Documentation: OASIS "Virtual I/O Device (VIRTIO) Version 1.1", "Block Device". Implemented: read, write,
// flush, device id; read-only disks; write-through for drivers that do not flush. Missing: discard, write
// zeroes, several queues, choice of cache mode, SCSI commands.
//
// Requests are carried out while the driver notifies, straight between the image and the guest's pages, all
// that wait in one go and with one interrupt at their end.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "devices/block_backend.h"
#include "devices/virtio_device.h"

namespace vitrine::devices {

class VirtioBlock final : public VirtioDevice {
 public:
  static constexpr unsigned kSectorSize = 512;
  static constexpr uint16_t kQueueSize = 256;
  /// Limits that the driver is told: segments of a request, bytes of a segment.
  static constexpr uint32_t kMostSegments = kQueueSize - 2;
  static constexpr uint32_t kMostSegmentBytes = 0x40000;
  /// A longer request fails, whatever the driver makes of the limits.
  static constexpr uint64_t kMostBytes = uint64_t{kMostSegments} * kMostSegmentBytes;
  static constexpr unsigned kIdSize = 20;

  // Features.
  static constexpr uint64_t kSizeMax = 1 << 1;
  static constexpr uint64_t kSegMax = 1 << 2;
  static constexpr uint64_t kGeometry = 1 << 4;
  static constexpr uint64_t kReadOnly = 1 << 5;
  static constexpr uint64_t kBlockSize = 1 << 6;
  static constexpr uint64_t kFlush = 1 << 9;

  /// `serial`: what GET_ID says, cut to kIdSize bytes.
  VirtioBlock(Clock& clock, BlockBackend& backend, std::string serial);
  /// Told of failures of the host's file, each only once in a row.
  void set_error_callback(std::function<void(const Error&)> callback) { report_ = std::move(callback); }

 private:
  enum class Status : uint8_t { Ok = 0, Failed = 1, Unsupported = 2 };
  struct Outcome {
    Status status = Status::Failed;
    uint64_t written = 0;  ///< Bytes of data that came to the driver.
    uint64_t moved = 0;    ///< Bytes that went either way.
  };

  [[nodiscard]] uint64_t device_features() const override;
  void fill_config(std::span<uint8_t> config) const override;
  [[nodiscard]] std::optional<Served> handle(unsigned queue, const VirtqueueChain& chain,
                                             DmaMemory& memory) override;

  [[nodiscard]] Outcome carry_out(const VirtqueueChain& chain, DmaMemory& memory, uint32_t type,
                                  uint64_t sector);
  [[nodiscard]] Outcome read(const VirtqueueChain& chain, DmaMemory& memory, uint64_t sector);
  [[nodiscard]] Outcome write(const VirtqueueChain& chain, DmaMemory& memory, uint64_t sector);
  [[nodiscard]] Outcome identify(const VirtqueueChain& chain, DmaMemory& memory) const;
  [[nodiscard]] bool on_disk(uint64_t sector, uint64_t bytes) const;
  [[nodiscard]] Status status_of(const Result<void>& done);

  BlockBackend& backend_;
  std::string serial_;
  uint64_t sectors_;
  std::function<void(const Error&)> report_;
  std::string last_report_;
  // Here so that requests need no memory of their own.
  std::vector<std::span<uint8_t>> read_pieces_;
  std::vector<std::span<const uint8_t>> write_pieces_;
};

}  // namespace vitrine::devices
