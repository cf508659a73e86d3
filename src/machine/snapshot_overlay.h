// Writes that are forgotten (`-snapshot`): they go to an unlinked file of their own, and reads find them
// there; the image below is only read. The overlay is sparse and has the image's layout, in clusters of 64
// KiB of which the first write copies what it does not cover.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "devices/block_backend.h"

namespace vitrine::machine {

class SnapshotOverlay final : public devices::BlockBackend {
 public:
  static constexpr uint64_t kClusterSize = 65536;

  /// `overlay` is an empty file, open for reading and writing.
  SnapshotOverlay(std::unique_ptr<devices::BlockBackend> base, Descriptor overlay, std::string name);

  [[nodiscard]] uint64_t size() const override { return base_->size(); }
  [[nodiscard]] bool read_only() const override { return false; }
  [[nodiscard]] Result<void> read(uint64_t offset, std::span<uint8_t> data) override;
  [[nodiscard]] Result<void> write(uint64_t offset, std::span<const uint8_t> data) override;
  /// Nothing here outlives the machine, so nothing needs to be durable.
  [[nodiscard]] Result<void> flush() override { return {}; }

  [[nodiscard]] uint64_t clusters_written() const { return clusters_written_; }

 private:
  [[nodiscard]] bool in_overlay(uint64_t cluster) const {
    return (present_[cluster / 64] >> (cluster % 64) & 1) != 0;
  }
  [[nodiscard]] Result<void> bring_into_overlay(uint64_t cluster);
  [[nodiscard]] Result<void> read_overlay(uint64_t offset, std::span<uint8_t> data);
  [[nodiscard]] Result<void> write_overlay(uint64_t offset, std::span<const uint8_t> data);

  std::unique_ptr<devices::BlockBackend> base_;
  Descriptor overlay_;
  std::string name_;
  std::vector<uint64_t> present_;  // a bit a cluster
  uint64_t clusters_written_ = 0;
};

}  // namespace vitrine::machine
