// What happens to a guest's processor, counted: the same numbers whoever executes it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "cpu/operation.h"
#include "inspect/section.h"

namespace vitrine::cpu {

struct EventCounters {
  static constexpr size_t kExceptions = 32;

  /// Delivered to the guest, by vector: faults and traps, INT3, INTO and INT1.
  std::array<uint64_t, kExceptions> exceptions{};
  std::array<uint64_t, 256> interrupts{};           ///< From outside, by vector.
  std::array<uint64_t, 256> software_interrupts{};  ///< INT n, by vector.
  uint64_t nmis = 0;
  uint64_t page_table_loads = 0;     ///< Of CR3, by MOV and by task switches.
  uint64_t page_table_switches = 0;  ///< Those with another value.
  /// Instructions that end a block of the interpreter's, completed: all that have to do with system state or
  /// ports. Where guest code is translated, those that the interpreter was needed for.
  std::array<uint64_t, static_cast<size_t>(Operation::Count)> instructions{};
};

/// A row for each operation that has a count, the most frequent first, and their sum.
void report_operations(std::span<const uint64_t> by_operation, inspect::Section& section);

}  // namespace vitrine::cpu
