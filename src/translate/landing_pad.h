// A page amid addresses without rights, by which translated code compares the address that a guest's RET took
// with the one that it expects, without a flag, a register of the guest's or a branch: it loads from as far
// behind the page's beginning as the one is above the other, and from as far behind its end. Only if they are
// equal, both loads are of the page; else the host faults.
//
// Distances of 32 bits sign-extend, so an expected address from 2 GiB on is looked for 4 GiB further on,
// where there is a second page.
#pragma once

#include <cstdint>

#include "base/addresses.h"
#include "base/mapping.h"
#include "base/result.h"

namespace vitrine::translate {

class LandingPad {
 public:
  /// Error: the host has no 8 GiB of addresses left (`ulimit -v`).
  [[nodiscard]] Result<void> build();

  /// From 2 GiB below to 6 GiB above nothing but the two pages can be read.
  [[nodiscard]] uint64_t base() const { return base_; }
  [[nodiscard]] bool contains(uint64_t address) const {
    return base_ != 0 && address - reinterpret_cast<uint64_t>(memory_.data()) < memory_.size();
  }
  /// Whether a doubleword can be loaded there.
  [[nodiscard]] bool holds(uint64_t address) const {
    constexpr uint64_t kSecond = uint64_t{4} << 30, kLast = kPageSize - sizeof(uint32_t);
    return base_ != 0 && (address - base_ <= kLast || address - base_ - kSecond <= kLast);
  }
  /// What is loaded: base() + the address taken + one of these.
  [[nodiscard]] static constexpr int32_t first(uint32_t expected) {
    return static_cast<int32_t>(0 - expected);
  }
  [[nodiscard]] static constexpr int32_t last(uint32_t expected) {
    return static_cast<int32_t>(kPageSize - sizeof(uint32_t) - expected);
  }

 private:
  Mapping memory_;
  uint64_t base_ = 0;
};

}  // namespace vitrine::translate
