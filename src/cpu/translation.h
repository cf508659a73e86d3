// From a linear address to a page of guest memory, through the look-aside buffer or a walk. The slow half of
// access.h, and instruction fetch.
#pragma once

#include "cpu/core.h"
#include "cpu/system.h"
#include "paging/page_walker.h"

namespace vitrine::cpu {

/// What decides how the guest's page tables are read.
[[nodiscard]] paging::PagingRegisters paging_registers(const Core& core);

/// The entry for the page of `linear`, with the right that `access` needs; filled by a walk when there is
/// none. Null: core.fault is set.
[[nodiscard]] TlbEntry* resolve(Core& core, uint32_t linear, Access access, Privilege privilege);

[[nodiscard]] inline PhysicalAddress physical_of(const TlbEntry& entry, uint32_t linear) {
  return PhysicalAddress((entry.physical & ~uint64_t{kPageMask}) | (linear & kPageMask));
}

/// Data breakpoints and watchpoints on an access; they take effect after the instruction.
void note_data_access(Core& core, uint32_t linear, unsigned size, Access access);
/// I/O breakpoints (CR4.DE).
void note_port_access(Core& core, uint16_t port, unsigned size);

}  // namespace vitrine::cpu
