// Addresses of the four worlds that meet in a virtual machine, as types that do not convert into each
// other. The only places that turn one into another are paging/ (virtual → physical) and memory/
// (physical → machine).
#pragma once

#include <compare>
#include <cstdint>

namespace vitrine {

/// Size of a small page, in bytes, in the guest and on the host.
inline constexpr uint32_t kPageSize = 4096;
inline constexpr uint32_t kPageShift = 12;
inline constexpr uint32_t kPageMask = kPageSize - 1;

/// An address as guest programs use it: the manual's linear address, after segmentation. 32 bits; sums wrap.
struct VirtualAddress {
  uint32_t value = 0;

  constexpr VirtualAddress() = default;
  constexpr explicit VirtualAddress(uint32_t v) : value(v) {}

  [[nodiscard]] constexpr uint32_t page_offset() const { return value & kPageMask; }
  [[nodiscard]] constexpr VirtualAddress page() const { return VirtualAddress(value & ~kPageMask); }
  constexpr VirtualAddress operator+(uint32_t n) const { return VirtualAddress(value + n); }
  constexpr auto operator<=>(const VirtualAddress&) const = default;
};

/// An address in what the guest's operating system believes is memory. 36 bits are meaningful (PAE).
struct PhysicalAddress {
  uint64_t value = 0;

  constexpr PhysicalAddress() = default;
  constexpr explicit PhysicalAddress(uint64_t v) : value(v) {}

  [[nodiscard]] constexpr uint32_t page_offset() const { return static_cast<uint32_t>(value & kPageMask); }
  [[nodiscard]] constexpr PhysicalAddress page() const {
    return PhysicalAddress(value & ~uint64_t{kPageMask});
  }
  constexpr PhysicalAddress operator+(uint64_t n) const { return PhysicalAddress(value + n); }
  constexpr auto operator<=>(const PhysicalAddress&) const = default;
};

/// A host address inside Vitrine's own process where a byte of the guest's memory lies.
struct MachineAddress {
  uint8_t* value = nullptr;

  constexpr MachineAddress() = default;
  constexpr explicit MachineAddress(uint8_t* v) : value(v) {}

  constexpr explicit operator bool() const { return value != nullptr; }
  constexpr MachineAddress operator+(uint64_t n) const { return MachineAddress(value + n); }
  constexpr auto operator<=>(const MachineAddress&) const = default;
};

/// A far pointer: segment selector and offset, before segmentation.
struct LogicalAddress {
  uint16_t segment = 0;
  uint32_t offset = 0;

  constexpr auto operator<=>(const LogicalAddress&) const = default;
};

}  // namespace vitrine
