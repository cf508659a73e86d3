// A block backend in memory for the tests of storage devices: can be read-only, fail on demand, and remembers
// which writes have been made durable.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "devices/block_backend.h"

namespace vitrine::devices {

class BlockBackendForTest : public BlockBackend {
 public:
  explicit BlockBackendForTest(uint64_t size) : data(size) {}

  [[nodiscard]] uint64_t size() const override { return data.size(); }
  [[nodiscard]] bool read_only() const override { return read_only_image; }
  [[nodiscard]] Result<void> read(uint64_t offset, std::span<uint8_t> to) override {
    if (fail_reads_at && offset <= *fail_reads_at && *fail_reads_at < offset + to.size())
      return failure("cannot read", EIO);
    std::ranges::fill(to, uint8_t{0});
    if (offset >= data.size()) return {};
    std::memcpy(to.data(), data.data() + offset, std::min<uint64_t>(to.size(), data.size() - offset));
    return {};
  }
  [[nodiscard]] Result<void> write(uint64_t offset, std::span<const uint8_t> from) override {
    if (read_only_image) return failure("the image is read-only", EROFS);
    if (offset > data.size() || from.size() > data.size() - offset) return failure("past the end", ENOSPC);
    if (fail_writes_at && offset <= *fail_writes_at && *fail_writes_at < offset + from.size()) {
      return failure("cannot write", ENOSPC);
    }
    std::memcpy(data.data() + offset, from.data(), from.size());
    ++unflushed_writes;
    return {};
  }
  [[nodiscard]] Result<void> flush() override {
    if (fail_flush) return failure("cannot flush", EIO);
    unflushed_writes = 0;
    ++flushes;
    return {};
  }

  /// Fills sectors, at most `count` from `first`, with bytes that tell them from their neighbours.
  void fill_sectors(size_t sector_size, size_t first = 0, size_t count = SIZE_MAX) {
    const size_t end = count < data.size() / sector_size ? (first + count) * sector_size : data.size();
    for (size_t i = first * sector_size; i < std::min(end, data.size()); ++i)
      data[i] = static_cast<uint8_t>(i / sector_size * 7 + i % sector_size);
  }

  std::vector<uint8_t> data;
  bool read_only_image = false;
  bool fail_flush = false;
  std::optional<uint64_t> fail_reads_at;
  std::optional<uint64_t> fail_writes_at;
  unsigned unflushed_writes = 0;
  unsigned flushes = 0;

 private:
  static Result<void> failure(const char* what, int reason) {
    return std::unexpected(Error{what, "test image", reason});
  }
};

}  // namespace vitrine::devices
