// How far the translation of one page extends to its neighbours: the longest run of virtual pages around it
// that lie side by side in a RAM block, too, with the same rights. Looks at the guest's table without
// changing it; takes only neighbours whose accessed bit is set, and writable ones only where the dirty bit
// is, so that filling them skips nothing that the guest could see.
#pragma once

#include <cstdint>

#include "memory/physical_map.h"
#include "paging/page_walker.h"
#include "paging/shadow_book.h"

namespace vitrine::paging {

/// One page and what the window is to show of it.
struct PageTarget {
  uint32_t virtual_page = 0;
  memory::RamBlock* block = nullptr;
  uint64_t page = 0;
  ShadowState state = ShadowState::Read;
  bool may_write = false;  ///< Rights and storage permit writing: dirty and unwatched pages are ReadWrite.
};

/// Virtual pages `first`, … of which the target is one.
struct PageRun {
  uint32_t first = 0;
  uint32_t count = 1;
};

/// `region`: the target's. The run does not leave the naturally aligned block of `limit` pages (a power of
/// two, at most a directory entry's reach).
[[nodiscard]] PageRun find_run(const memory::PhysicalMap& memory, const PagingRegisters& registers,
                               const Translation& translation, const memory::Region& region,
                               const PageTarget& target, uint32_t limit);

}  // namespace vitrine::paging
