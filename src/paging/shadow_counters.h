// What the shadow windows cost, and who is told when their entries go.
#pragma once

#include <cstdint>

#include "base/addresses.h"
#include "inspect/section.h"

namespace vitrine::paging {

class ShadowWindow;

/// Told before entries of a window disappear or change what they show (a mere change of rights is none).
/// Whatever was derived from them (code looked up by virtual address) must be forgotten. The range may
/// contain pages that show nothing; and code looked up at a page that shows nothing is told of, too.
class ShadowListener {
 public:
  virtual ~ShadowListener() = default;
  virtual void entries_dropped(ShadowWindow& window, VirtualAddress first, uint64_t pages) = 0;
};

/// Monotonic counts of what costs.
struct ShadowCounters {
  uint64_t hidden_faults = 0;    ///< Calls of fill() that filled, for data.
  uint64_t fetches = 0;          ///< … for code to be looked up, with or without a mapping.
  uint64_t code_prefetches = 0;  ///< … for code that was known there, because some beside it was looked up.
  uint64_t prefetches = 0;       ///< Fills before a fault asked for them.
  uint64_t true_faults = 0;
  uint64_t emulated = 0;
  uint64_t pages_filled = 0;
  uint64_t pages_shared = 0;  ///< Given to new spaces because another had them.
  uint64_t maps = 0;          ///< Host mappings made (system calls).
  uint64_t revivals = 0;      ///< Fills that gave a kept mapping its rights back instead.
  uint64_t drops = 0;         ///< Entries dropped one by one or in ranges (system calls).
  uint64_t lowered = 0;       ///< Rights to write taken away (system calls).
  uint64_t windows_emptied = 0;
  uint64_t evictions = 0;         ///< Because of the mapping budget.
  uint64_t page_table_loads = 0;  ///< CR3 loads by the guest.
  uint64_t window_switches = 0;   ///< Times that another window became the active one.
  uint64_t tables_compared = 0;   ///< With what they said when something was filled from them.
  uint64_t tables_protected = 0;  ///< Times that a page table lost its writers.
  uint64_t table_writes = 0;      ///< Writes to protected page tables that were applied to the windows.
  uint64_t tables_released = 0;   ///< Protected pages that were written as if they were tables no more.
  uint64_t spaces_made = 0;       ///< Guest address spaces that got new windows.
  uint64_t spaces_recycled = 0;   ///< … that took over those of another.
};

/// Rows of the report (docs/counting.md).
void report(const ShadowCounters& counters, inspect::Section& section);

}  // namespace vitrine::paging
