// Reads a fuzzer's bytes as decisions: numbers, choices, pieces of data. Behind the end everything is zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>

namespace vitrine::fuzz {

class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : rest_(data, size) {}
  explicit FuzzInput(std::span<const uint8_t> data) : rest_(data) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] size_t size() const { return rest_.size(); }

  template <typename T>
  T take() {
    T value{};
    const size_t count = std::min(sizeof value, rest_.size());
    if (count != 0) std::memcpy(&value, rest_.data(), count);
    rest_ = rest_.subspan(count);
    return value;
  }
  uint8_t byte() { return take<uint8_t>(); }
  uint16_t word() { return take<uint16_t>(); }
  uint32_t dword() { return take<uint32_t>(); }

  /// 0 … limit − 1. As few bytes as will do.
  uint32_t below(uint32_t limit) {
    return (limit <= 256 ? byte() : limit <= 65536 ? word() : dword()) % limit;
  }
  bool flag() { return (byte() & 1) != 0; }
  /// 1, 2 or 4.
  unsigned access_size() { return 1u << below(3); }

  template <typename Container>
  const auto& any_of(const Container& values) {
    return values[below(static_cast<uint32_t>(std::size(values)))];
  }

  /// At most `limit` bytes.
  std::span<const uint8_t> bytes(size_t limit) {
    const std::span<const uint8_t> part = rest_.first(std::min(limit, rest_.size()));
    rest_ = rest_.subspan(part.size());
    return part;
  }

  /// A number to write to a register: those that mean something somewhere are likelier than others.
  uint32_t value() {
    const uint8_t kind = byte();
    switch (kind & 7) {
      case 0: return 0;
      case 1: return ~0u;
      case 2: return 1u << (kind >> 3);
      case 3: return (1u << (kind >> 3)) - 1;
      case 4: return dword();
      case 5: return word();
      default: return byte();
    }
  }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace vitrine::fuzz
