// Walks the guest's page tables: virtual to physical, with rights, exactly as the processor does it.
// 32-bit paging (4 KiB and 4 MiB pages, PSE-36) and PAE paging (4 KiB and 2 MiB pages, no-execute).
// SDM Vol. 3A, "Paging".
//
//      CR3 ──► directory entry ──► table entry ──► page            32-bit: 10 + 10 + 12 bits of address
//                     └─(PS)──► large page
//      PDPTE register ──► directory entry ──► table entry ──► page  PAE: 2 + 9 + 9 + 12 bits
//
// Tables may lie anywhere, also in a device's registers or where nothing is. The walker holds no state;
// caches of its answers (TLB, shadow tables) are their owners' business.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>

#include "base/addresses.h"
#include "memory/physical_map.h"

namespace vitrine::paging {

enum class AccessKind : uint8_t { Read, Write, Fetch };

/// Whose rights an access has: CPL 3, or CPL 0–2 and implicit accesses to system tables.
enum class Privilege : uint8_t { Supervisor, User };

/// What a walk may change.
enum class Effects : uint8_t {
  SetAccessedAndDirty,  ///< As the processor does.
  None,  ///< For debuggers: nothing is written, and tables in device registers count as absent.
};

/// The registers that decide how tables are read.
struct PagingRegisters {
  uint32_t cr0 = 0;
  uint32_t cr3 = 0;
  uint32_t cr4 = 0;
  uint64_t efer = 0;
  std::array<uint64_t, 4> pdptes{};  ///< PAE: what the last load of CR3 read.
  bool pse36 = true;                 ///< CPUID shows PSE-36.
  bool pat = true;                   ///< CPUID shows PAT; without it the PAT bits are reserved.

  [[nodiscard]] bool enabled() const;
  [[nodiscard]] bool pae() const;
  [[nodiscard]] bool no_execute() const;
  [[nodiscard]] bool write_protect() const;
};

/// A successful walk.
struct Translation {
  PhysicalAddress address;  ///< Of the byte asked for, before the A20 gate.
  uint32_t page_size = kPageSize;
  // Rights, combined over all levels.
  bool writable = true;
  bool user = true;
  bool executable = true;
  bool global = false;
  bool dirty = false;     ///< After the walk; false only when the access was not a write.
  bool accessed = false;  ///< Of the page's own entry, after the walk.
  // Where it comes from, after the walk; zero with paging off.
  PhysicalAddress entry_address;  ///< The page's own entry: in a table, or in a directory for a large page.
  uint64_t entry = 0;
  uint64_t directory_entry = 0;  ///< That named the table, or the large page's own entry again.

  [[nodiscard]] PhysicalAddress page() const { return address.page(); }
};

/// The error code of a page fault.
struct WalkFault {
  uint32_t error_code = 0;
};

/// Translates one address for one access. With paging off every address is itself. Rights are checked;
/// accessed and dirty bits are set only when the access is permitted.
[[nodiscard]] std::expected<Translation, WalkFault> walk(memory::PhysicalMap& memory,
                                                         const PagingRegisters& registers,
                                                         VirtualAddress address, AccessKind kind,
                                                         Privilege privilege, Effects effects);

/// Reads the page-directory-pointer table that `cr3` names, as a load of CR3 does; nothing if a present entry
/// has a reserved bit set (#GP). SDM Vol. 3A, "PDPTE Registers".
[[nodiscard]] std::optional<std::array<uint64_t, 4>> read_pdptes(const memory::PhysicalMap& memory,
                                                                 uint32_t cr3);

/// Calls `visit` for every present page in ascending order, without side effects, rights unchecked. Entries
/// with reserved bits set count as absent. For monitors.
void for_each_mapping(const memory::PhysicalMap& memory, const PagingRegisters& registers,
                      const std::function<void(VirtualAddress start, const Translation& page)>& visit);

}  // namespace vitrine::paging
