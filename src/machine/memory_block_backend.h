// A disk in memory, for tests; can be told to fail.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "devices/block_backend.h"

namespace vitrine::machine {

class MemoryBlockBackend final : public devices::BlockBackend {
 public:
  enum class Access : uint8_t { ReadOnly, ReadWrite };

  explicit MemoryBlockBackend(std::vector<uint8_t> contents, Access access = Access::ReadWrite)
      : contents_(std::move(contents)), access_(access) {}

  [[nodiscard]] uint64_t size() const override { return contents_.size(); }
  [[nodiscard]] bool read_only() const override { return access_ == Access::ReadOnly; }

  [[nodiscard]] Result<void> read(uint64_t offset, std::span<uint8_t> data) override {
    if (failing_) return failure();
    std::ranges::fill(data, uint8_t{0});
    if (offset >= size()) return {};
    const size_t count = std::min<uint64_t>(data.size(), size() - offset);
    std::copy_n(contents_.begin() + static_cast<std::ptrdiff_t>(offset), count, data.begin());
    return {};
  }
  [[nodiscard]] Result<void> write(uint64_t offset, std::span<const uint8_t> data) override {
    if (failing_ || read_only() || offset > size() || data.size() > size() - offset) return failure();
    std::ranges::copy(data, contents_.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  [[nodiscard]] Result<void> flush() override {
    ++flushes_;
    return {};
  }

  /// From now on every access fails, as on a dying disk; or no longer.
  void set_failing(bool failing) { failing_ = failing; }
  [[nodiscard]] const std::vector<uint8_t>& contents() const { return contents_; }
  [[nodiscard]] unsigned flushes() const { return flushes_; }

 private:
  [[nodiscard]] static Result<void> failure() {
    return std::unexpected(Error{"the access failed", "memory disk"});
  }

  std::vector<uint8_t> contents_;
  Access access_;
  unsigned flushes_ = 0;
  bool failing_ = false;
};

}  // namespace vitrine::machine
