// Segment selectors and the error codes that name a selector or a gate. SDM Vol. 3A, "Segment Selectors",
// and "Error Code".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

struct Selector {
  uint16_t value = 0;

  constexpr Selector() = default;
  constexpr explicit Selector(uint16_t v) : value(v) {}

  [[nodiscard]] constexpr uint8_t rpl() const { return value & 3; }
  /// TI: the descriptor lies in the LDT, not in the GDT.
  [[nodiscard]] constexpr bool local() const { return (value & 4) != 0; }
  /// Byte offset of the descriptor in its table.
  [[nodiscard]] constexpr uint32_t offset() const { return value & 0xfff8u; }
  /// Entry 0 of the GDT, whatever the RPL.
  [[nodiscard]] constexpr bool null() const { return (value & 0xfffcu) == 0; }
  [[nodiscard]] constexpr Selector with_rpl(uint8_t rpl) const {
    return Selector(static_cast<uint16_t>((value & 0xfffcu) | (rpl & 3u)));
  }

  constexpr bool operator==(const Selector&) const = default;
};

/// The error code's EXT bit: the event was external to the program (an interrupt, or an exception while
/// another was being delivered).
inline constexpr uint32_t kErrorExternal = 1u << 0;
/// The error code's IDT bit: the index refers to a gate in the IDT.
inline constexpr uint32_t kErrorIdt = 1u << 1;

/// Whether an error code gets the EXT bit.
enum class EventSource : uint8_t { Program, External };

[[nodiscard]] constexpr uint32_t selector_error(Selector selector,
                                                EventSource source = EventSource::Program) {
  return (selector.value & 0xfffcu) | (source == EventSource::External ? kErrorExternal : 0);
}
[[nodiscard]] constexpr uint32_t gate_error(uint8_t vector, EventSource source = EventSource::Program) {
  return vector * 8u | kErrorIdt | (source == EventSource::External ? kErrorExternal : 0);
}

/// Page-fault error code bits. SDM Vol. 3A, "Page-Fault Exceptions".
inline constexpr uint32_t kPageFaultPresent = 1u << 0;   ///< A right was missing, not the page.
inline constexpr uint32_t kPageFaultWrite = 1u << 1;     ///< The access was a write.
inline constexpr uint32_t kPageFaultUser = 1u << 2;      ///< The access was made in user mode.
inline constexpr uint32_t kPageFaultReserved = 1u << 3;  ///< A reserved bit was set in an entry.
inline constexpr uint32_t kPageFaultFetch = 1u
                                            << 4;  ///< The access was an instruction fetch (only with NXE).

}  // namespace vitrine::x86
