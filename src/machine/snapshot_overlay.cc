#include "machine/snapshot_overlay.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace vitrine::machine {

SnapshotOverlay::SnapshotOverlay(std::unique_ptr<devices::BlockBackend> base, Descriptor overlay,
                                 std::string name)
    : base_(std::move(base)),
      overlay_(std::move(overlay)),
      name_(std::move(name)),
      present_((base_->size() + kClusterSize - 1) / kClusterSize / 64 + 1) {}

Result<void> SnapshotOverlay::read(uint64_t offset, std::span<uint8_t> data) {
  while (!data.empty()) {
    if (offset >= size()) {
      std::ranges::fill(data, uint8_t{0});
      return {};
    }
    const uint64_t in_cluster = offset % kClusterSize;
    const size_t count = std::min<uint64_t>({data.size(), kClusterSize - in_cluster, size() - offset});
    const auto part = data.first(count);
    if (in_overlay(offset / kClusterSize)) {
      if (auto done = read_overlay(offset, part); !done) return done;
    } else {
      if (auto done = base_->read(offset, part); !done) return done;
    }
    data = data.subspan(count);
    offset += count;
  }
  return {};
}

Result<void> SnapshotOverlay::write(uint64_t offset, std::span<const uint8_t> data) {
  if (offset > size() || data.size() > size() - offset) {
    return std::unexpected(Error{"cannot write past the end of the disk image", name_});
  }
  while (!data.empty()) {
    const uint64_t cluster = offset / kClusterSize;
    const size_t count = std::min<uint64_t>(data.size(), kClusterSize - offset % kClusterSize);
    if (!in_overlay(cluster)) {
      if (auto copied = bring_into_overlay(cluster); !copied) return copied;
    }
    if (auto written = write_overlay(offset, data.first(count)); !written) return written;
    data = data.subspan(count);
    offset += count;
  }
  return {};
}

Result<void> SnapshotOverlay::bring_into_overlay(uint64_t cluster) {
  const uint64_t start = cluster * kClusterSize;
  std::vector<uint8_t> contents(std::min(kClusterSize, size() - start));
  if (auto read = base_->read(start, contents); !read) return read;
  if (auto written = write_overlay(start, contents); !written) return written;
  present_[cluster / 64] |= uint64_t{1} << (cluster % 64);
  ++clusters_written_;
  return {};
}

Result<void> SnapshotOverlay::read_overlay(uint64_t offset, std::span<uint8_t> data) {
  while (!data.empty()) {
    const ssize_t count = ::pread(overlay_.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      if (count == 0) errno = EIO;  // a cluster marked present was written in full
      return std::unexpected(error_from_errno("cannot read the temporary overlay of", name_));
    }
    data = data.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

Result<void> SnapshotOverlay::write_overlay(uint64_t offset, std::span<const uint8_t> data) {
  while (!data.empty()) {
    const ssize_t count = ::pwrite(overlay_.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      return std::unexpected(error_from_errno("cannot write to the temporary overlay of", name_,
                                              errno == ENOSPC ? "make room where TMPDIR points" : ""));
    }
    data = data.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

}  // namespace vitrine::machine
