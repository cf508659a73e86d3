// Bytes that no longer change, kept alive by everybody who holds some of them: what is read from a file, and
// its parts, without a copy for each hand that they go through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"

namespace vitrine {

class SharedBytes {
 public:
  SharedBytes() = default;
  /// `bytes` lie in what `owner` keeps alive, and are not written any more.
  SharedBytes(std::shared_ptr<const void> owner, std::span<const uint8_t> bytes)
      : owner_(std::move(owner)), bytes_(bytes) {}
  // Implicit: a vector that is handed over is such bytes.
  SharedBytes(std::vector<uint8_t> bytes);  // NOLINT(google-explicit-constructor)
  SharedBytes(std::initializer_list<uint8_t> bytes) : SharedBytes(std::vector<uint8_t>(bytes)) {}
  /// The first `size` bytes of a mapping, which must be readable.
  SharedBytes(Mapping mapping, size_t size);

  [[nodiscard]] static SharedBytes copy_of(std::span<const uint8_t> bytes) {
    return std::vector(bytes.begin(), bytes.end());
  }
  /// Zeros, which take no memory. Error: the host has no such range of addresses.
  [[nodiscard]] static Result<SharedBytes> zeros(size_t size);

  /// `count` bytes from `offset` on, which lie within.
  [[nodiscard]] SharedBytes part(size_t offset, size_t count) const {
    return {owner_, bytes_.subspan(offset, count)};
  }

  operator std::span<const uint8_t>() const { return bytes_; }  // NOLINT(google-explicit-constructor)
  [[nodiscard]] std::span<const uint8_t> span() const { return bytes_; }
  [[nodiscard]] const uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] uint8_t operator[](size_t index) const { return bytes_[index]; }
  [[nodiscard]] auto begin() const { return bytes_.begin(); }
  [[nodiscard]] auto end() const { return bytes_.end(); }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const uint8_t> bytes_;
};

}  // namespace vitrine
