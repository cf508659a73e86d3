// The translation look-aside buffer of one virtual processor: virtual page → host page, direct-mapped, one
// table for each privilege. A tag that matches means: this kind of access to this page needs no further check
// at all. Pages of devices, watched pages, pages not yet dirty and so on simply have no tag for the access in
// question and take the slow path.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/addresses.h"

namespace vitrine::memory {
class RamBlock;
}

namespace vitrine::cpu {

inline constexpr unsigned kTlbBits = 10;
inline constexpr unsigned kTlbEntries = 1u << kTlbBits;
inline constexpr uint32_t kNoTag = 1;  ///< Never equal to an address of a page.

/// What the page tables allow, whether or not there is a host page that can be used directly.
enum TlbRight : uint8_t {
  kTlbGlobal = 1,
  kTlbReadable = 2,
  kTlbWritable = 4,
  kTlbExecutable = 8,
  kTlbStorage = 16,  ///< No right: reads and writes go to the same storage, at `addend`.
};

struct TlbEntry {
  uint32_t read_tag = kNoTag;  ///< The virtual page, when it may be read directly.
  uint32_t write_tag = kNoTag;
  uint32_t execute_tag = kNoTag;
  uint32_t page = kNoTag;  ///< The virtual page of the entry as such, whatever may be done with it.
  uintptr_t addend = 0;    ///< Host address minus virtual address.
  uint64_t physical = 0;   ///< Physical page, before the A20 gate; in the low bits TlbRight.

  [[nodiscard]] bool has(TlbRight right) const { return (physical & right) != 0; }
};

using TlbTable = std::array<TlbEntry, kTlbEntries>;

class Tlb {
 public:
  [[nodiscard]] TlbEntry* supervisor() { return supervisor_.data(); }
  [[nodiscard]] TlbEntry* user() { return user_.data(); }
  /// A table in which nothing is ever found: every access takes the slow path.
  [[nodiscard]] TlbEntry* empty() { return empty_.data(); }

  [[nodiscard]] static unsigned slot(uint32_t linear) { return linear >> kPageShift & (kTlbEntries - 1); }

  /// The entry to fill for a page. `table` is supervisor() or user().
  TlbEntry& claim(TlbEntry* table, uint32_t linear);
  void flush_page(uint32_t linear);
  void flush_all();
  /// What a CR3 load with CR4.PGE set leaves are the global entries.
  void flush_non_global();
  /// Gives and takes the right to write directly to an entry's page. What sets write_tag but these is wrong.
  void permit_write(TlbEntry& entry);
  void forbid_write(TlbEntry& entry);
  /// Takes it away wherever it is a host page's.
  void forbid_writes(const uint8_t* host_page);

 private:
  static constexpr unsigned kWriters = 4096;
  /// The entries that may write to host pages with one hash, so that nobody has to search when there is none
  /// or one: their number, and the last of them.
  struct Writers {
    uint32_t count = 0;
    TlbEntry* last = nullptr;
  };
  [[nodiscard]] Writers& writers_of(uintptr_t host_page) {
    return writers_[(host_page >> kPageShift ^ host_page >> 24) & (kWriters - 1)];
  }
  void flush(TlbTable& table, std::vector<uint16_t>& used, bool keep_global);
  void invalidate(TlbTable& table, std::vector<uint16_t>& used, uint32_t linear);
  void forbid(TlbTable& table, const std::vector<uint16_t>& used, const uint8_t* host_page);

  TlbTable supervisor_{}, user_{}, empty_{};
  std::array<Writers, kWriters> writers_{};
  std::vector<uint16_t> used_supervisor_, used_user_;  // slots in use, each once
};

}  // namespace vitrine::cpu
