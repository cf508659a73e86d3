// What a disk controller stores its sectors in. Implemented outside devices/ (an image file, an overlay that
// forgets, memory in a test).
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"

namespace vitrine::devices {

class BlockBackend {
 public:
  virtual ~BlockBackend() = default;

  /// Size in bytes; a multiple of 512 is not promised (the last sector of a short image reads as zeros).
  [[nodiscard]] virtual uint64_t size() const = 0;
  [[nodiscard]] virtual bool read_only() const = 0;

  /// Reads `data.size()` bytes from `offset`. Bytes past the end read as zeros.
  [[nodiscard]] virtual Result<void> read(uint64_t offset, std::span<uint8_t> data) = 0;
  /// Fails on a read-only image, past the end, and when the host's disk is full.
  [[nodiscard]] virtual Result<void> write(uint64_t offset, std::span<const uint8_t> data) = 0;
  /// The same for pieces that lie one behind the other on the disk. To be overridden where the host can do it
  /// in one go.
  [[nodiscard]] virtual Result<void> read_pieces(uint64_t offset,
                                                 std::span<const std::span<uint8_t>> pieces) {
    for (const std::span<uint8_t> piece : pieces) {
      if (auto done = read(offset, piece); !done) return done;
      offset += piece.size();
    }
    return {};
  }
  [[nodiscard]] virtual Result<void> write_pieces(uint64_t offset,
                                                  std::span<const std::span<const uint8_t>> pieces) {
    for (const std::span<const uint8_t> piece : pieces) {
      if (auto done = write(offset, piece); !done) return done;
      offset += piece.size();
    }
    return {};
  }
  /// Returns when everything written is durable (fdatasync).
  [[nodiscard]] virtual Result<void> flush() = 0;
};

}  // namespace vitrine::devices
