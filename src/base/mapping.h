// An owned range of host address space.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace vitrine {

/// A mapping made with mmap(2), removed when it goes. Movable, not copyable.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    if (this != &other) {
      unmap();
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { unmap(); }

  /// Maps `size` bytes with mmap's own `protection`, `flags`, `fd` (-1: none) and `offset`.
  [[nodiscard]] static Result<Mapping> create(size_t size, int protection, int flags, int fd = -1,
                                              off_t offset = 0);

  [[nodiscard]] uint8_t* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  Mapping(uint8_t* data, size_t size) : data_(data), size_(size) {}
  void unmap();

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

/// Whether the process can take `size` more bytes of address space and still has a gigabyte for the rest of
/// its work. For what can be done without.
[[nodiscard]] bool addresses_to_spare(uint64_t size);

}  // namespace vitrine
