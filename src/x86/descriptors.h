// Segment, system and gate descriptors. SDM Vol. 3A, "Segment Descriptors", "System Descriptor Types",
// "Call Gates", "IDT Descriptors".
//
//        31           24 23 22 21 20 19    16 15 14 13 12 11   8 7            0
//  high │ base 31:24   │ G│DB│ L│AV│lim19:16│ P│ DPL │ S│ type │ base 23:16   │
//  low  │ base 15:0                         │ limit 15:0                      │
#pragma once

#include <cstdint>

#include "x86/selector.h"

namespace vitrine::x86 {

// Attribute bits, in the place they have in a descriptor's second doubleword, which is also where a segment
// register's hidden part keeps them.
inline constexpr uint32_t kAttributesMask = 0x00f0ff00;
inline constexpr uint32_t kAttributeAccessed = 1u << 8;     ///< Code and data.
inline constexpr uint32_t kAttributeWritable = 1u << 9;     ///< Data.
inline constexpr uint32_t kAttributeReadable = 1u << 9;     ///< Code.
inline constexpr uint32_t kAttributeExpandDown = 1u << 10;  ///< Data.
inline constexpr uint32_t kAttributeConforming = 1u << 10;  ///< Code.
inline constexpr uint32_t kAttributeCode = 1u << 11;
inline constexpr uint32_t kAttributeNotSystem = 1u << 12;  ///< S: code or data.
inline constexpr unsigned kAttributeDplShift = 13;
inline constexpr uint32_t kAttributeDpl = 3u << kAttributeDplShift;
inline constexpr uint32_t kAttributePresent = 1u << 15;
inline constexpr uint32_t kAttributeAvailable = 1u << 20;
inline constexpr uint32_t kAttributeBig = 1u << 22;  ///< D or B.
inline constexpr uint32_t kAttributeGranularity = 1u << 23;
/// The busy bit of a TSS descriptor's type.
inline constexpr uint32_t kAttributeBusy = 1u << 9;

/// Types of system segments and gates. SDM Vol. 3A, table "System-Segment and Gate-Descriptor Types".
enum class SystemType : uint8_t {
  Tss16Available = 1,
  Ldt = 2,
  Tss16Busy = 3,
  CallGate16 = 4,
  TaskGate = 5,
  InterruptGate16 = 6,
  TrapGate16 = 7,
  Tss32Available = 9,
  Tss32Busy = 11,
  CallGate32 = 12,
  InterruptGate32 = 14,
  TrapGate32 = 15,
};

// Predicates on attribute bits; they serve descriptors and segment registers alike.
[[nodiscard]] constexpr uint8_t dpl(uint32_t attributes) {
  return attributes >> kAttributeDplShift & 3;
}
[[nodiscard]] constexpr uint8_t type_of(uint32_t attributes) {
  return attributes >> 8 & 15;
}
[[nodiscard]] constexpr bool is_present(uint32_t attributes) {
  return (attributes & kAttributePresent) != 0;
}
[[nodiscard]] constexpr bool is_system(uint32_t attributes) {
  return (attributes & kAttributeNotSystem) == 0;
}
[[nodiscard]] constexpr bool is_code(uint32_t attributes) {
  constexpr uint32_t kBits = kAttributeNotSystem | kAttributeCode;
  return (attributes & kBits) == kBits;
}
[[nodiscard]] constexpr bool is_data(uint32_t attributes) {
  return (attributes & (kAttributeNotSystem | kAttributeCode)) == kAttributeNotSystem;
}
[[nodiscard]] constexpr bool is_conforming(uint32_t attributes) {
  return is_code(attributes) && (attributes & kAttributeConforming) != 0;
}
[[nodiscard]] constexpr bool is_expand_down(uint32_t attributes) {
  return is_data(attributes) && (attributes & kAttributeExpandDown) != 0;
}
[[nodiscard]] constexpr bool is_readable(uint32_t attributes) {
  return is_data(attributes) || (is_code(attributes) && (attributes & kAttributeReadable) != 0);
}
[[nodiscard]] constexpr bool is_writable(uint32_t attributes) {
  return is_data(attributes) && (attributes & kAttributeWritable) != 0;
}
[[nodiscard]] constexpr bool is_big(uint32_t attributes) {
  return (attributes & kAttributeBig) != 0;
}
[[nodiscard]] constexpr bool is_system_type(uint32_t attributes, SystemType type) {
  return is_system(attributes) && type_of(attributes) == static_cast<uint8_t>(type);
}
[[nodiscard]] constexpr bool is_available_tss(uint32_t attributes) {
  return is_system_type(attributes, SystemType::Tss16Available) ||
         is_system_type(attributes, SystemType::Tss32Available);
}
[[nodiscard]] constexpr bool is_busy_tss(uint32_t attributes) {
  return is_system_type(attributes, SystemType::Tss16Busy) ||
         is_system_type(attributes, SystemType::Tss32Busy);
}
/// A TSS of the 32-bit layout. `attributes` are those of a TSS.
[[nodiscard]] constexpr bool is_32bit_tss(uint32_t attributes) {
  return (type_of(attributes) & 8) != 0;
}

struct Descriptor {
  uint32_t low = 0;
  uint32_t high = 0;

  constexpr Descriptor() = default;
  constexpr Descriptor(uint32_t l, uint32_t h) : low(l), high(h) {}
  /// From the eight bytes as they lie in the table.
  constexpr explicit Descriptor(uint64_t raw)
      : low(static_cast<uint32_t>(raw)), high(static_cast<uint32_t>(raw >> 32)) {}

  [[nodiscard]] constexpr uint64_t raw() const { return uint64_t{high} << 32 | low; }
  [[nodiscard]] constexpr uint32_t attributes() const { return high & kAttributesMask; }

  // Code, data and system segments.
  [[nodiscard]] constexpr uint32_t base() const {
    return low >> 16 | (high & 0xff) << 16 | (high & 0xff000000);
  }
  /// The limit field as stored, 20 bits.
  [[nodiscard]] constexpr uint32_t raw_limit() const { return (low & 0xffff) | (high & 0xf0000); }
  /// In bytes, inclusive, granularity applied.
  [[nodiscard]] constexpr uint32_t limit() const {
    return (high & kAttributeGranularity) != 0 ? raw_limit() << 12 | 0xfff : raw_limit();
  }

  // Gates: call, interrupt, trap, task.
  [[nodiscard]] constexpr Selector gate_selector() const {
    return Selector(static_cast<uint16_t>(low >> 16));
  }
  /// 16-bit gates use the lower half only: `offset16`.
  [[nodiscard]] constexpr uint32_t gate_offset() const { return (low & 0xffff) | (high & 0xffff0000); }
  [[nodiscard]] constexpr uint16_t gate_offset16() const { return static_cast<uint16_t>(low); }
  /// Call gates: stack words or doublewords to copy.
  [[nodiscard]] constexpr unsigned parameter_count() const { return high & 31; }

  constexpr bool operator==(const Descriptor&) const = default;
};

/// `limit` is in bytes; with kAttributeGranularity in `attributes` it must end in FFFh.
[[nodiscard]] constexpr Descriptor make_segment(uint32_t base, uint32_t limit, uint32_t attributes) {
  const uint32_t stored = (attributes & kAttributeGranularity) != 0 ? limit >> 12 : limit;
  return Descriptor((stored & 0xffff) | base << 16, (base & 0xff000000) | (base >> 16 & 0xff) |
                                                        (stored & 0xf0000) | (attributes & kAttributesMask));
}

/// A present gate. `parameters` matters to call gates only.
[[nodiscard]] constexpr Descriptor make_gate(SystemType type, Selector selector, uint32_t offset,
                                             uint8_t gate_dpl, unsigned parameters = 0) {
  return Descriptor((offset & 0xffff) | uint32_t{selector.value} << 16,
                    (offset & 0xffff0000) | kAttributePresent | uint32_t{gate_dpl} << kAttributeDplShift |
                        static_cast<uint32_t>(type) << 8 | (parameters & 31));
}

// Attributes of the segments that every flat operating system has; type and S and P, DPL 0.
inline constexpr uint32_t kDataSegment = kAttributePresent | kAttributeNotSystem | kAttributeWritable;
inline constexpr uint32_t kCodeSegment =
    kAttributePresent | kAttributeNotSystem | kAttributeCode | kAttributeReadable;
/// To be added for a 32-bit segment with a limit in pages.
inline constexpr uint32_t kFlat32 = kAttributeBig | kAttributeGranularity;

}  // namespace vitrine::x86
