// What the windows were filled from: the guest's page-table pages, each with a copy of what it said, so that
// at the guest's flushes only what has changed is dropped (ShadowPolicy::Unsync).
//
//   space ── slot (directory entry as it was) ──► table (copy of the page, which entries were used) ◄── other
//   spaces
//
// The guest writes its tables freely. At a CR3 load the directory entries and tables of the address space
// being loaded are compared with the copies; an entry that lost only the right to write makes windows
// read-only there, any other change drops. A table that has not changed for long is write-protected instead
// (Watch::PageTable), so that kernels with many tables do not pay for each at every load; the first write
// ends that. A copy serves every space that uses the page, and what changed is dropped from all of them.
//
// Entries are stale only as in a TLB: until INVLPG or the load of the space they belong to.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "memory/physical_map.h"
#include "paging/page_run.h"
#include "paging/page_walker.h"
#include "paging/shadow_space.h"

namespace vitrine::paging {

enum class EntryWidth : uint8_t { Legacy = 4, Pae = 8 };

/// A page of guest memory that serves as a page table.
struct TrackedTable {
  struct User {
    ShadowSpace* space;
    uint32_t slot;
  };

  memory::RamBlock* block = nullptr;
  uint64_t page = 0;
  EntryWidth width = EntryWidth::Legacy;
  alignas(64) std::array<uint8_t, kPageSize> copy{};
  std::bitset<1024> derived;  ///< Entries from which something was filled; for these the copy is what it was.
  std::vector<User> users;
  bool watched = false;
  uint32_t unchanged = 0;  ///< Comparisons in a row that found no change.
  uint32_t patience = 0;   ///< So many before the page is watched; grows each time that was wrong.
  uint64_t compared_at = 0;
};

class TableTracker {
 public:
  /// Comparing costs about 0.1 µs; protecting a page costs some µs for each window that shows it, and as much
  /// again at the next write.
  static constexpr uint32_t kPatience = 256;

  TableTracker(memory::PhysicalMap& memory, uint32_t patience) : memory_(memory), patience_(patience) {}
  ~TableTracker();
  TableTracker(const TableTracker&) = delete;
  TableTracker& operator=(const TableTracker&) = delete;

  /// The pages of `run`, all by entries of one table or by one large page, are about to
  /// be filled in `space` as `state`. Drops whatever the same entries gave with another meaning. False:
  /// another processor has changed the entries since they were walked, and nothing may be filled from that
  /// walk.
  [[nodiscard]] bool derive(ShadowSpace& space, const PagingRegisters& registers,
                            const Translation& translation, const PageRun& run, ShadowState state);
  /// Drops from `space` whatever is not as its page table, that of `registers`, says now; from others what
  /// came through the same tables.
  void synchronize(ShadowSpace& space, const PagingRegisters& registers);
  /// INVLPG.
  void invalidate(ShadowSpace& space, const PagingRegisters& registers, uint32_t page);
  /// How many directory entries that `space` was filled through say the same in the page table of
  /// `registers`.
  [[nodiscard]] uint32_t agreement(const ShadowSpace& space, const PagingRegisters& registers) const;
  /// Whether the guest has taken down the page table that `space` belongs to: apart from what it has in
  /// common with that of `registers`, nothing is left.
  [[nodiscard]] bool abandoned(const ShadowSpace& space, const PagingRegisters& registers) const;
  /// Forgets where the entries of a space came from. They must be gone, or go.
  void detach(ShadowSpace& space);

  /// A watched page is about to be written.
  void written(memory::RamBlock& block, uint64_t page);
  /// Whether a page is watched on our behalf.
  [[nodiscard]] bool watches(const memory::RamBlock& block, uint64_t page) const;

  [[nodiscard]] size_t tables() const { return tables_.size(); }
  /// Beyond this, what is filled through further tables lasts until the next CR3 load only.
  static constexpr size_t kMostTables = 4096;
  /// The same for further uses of one table: a hostile guest may name one in every directory entry.
  static constexpr size_t kMostUsers = 512;

 private:
  [[nodiscard]] static uint64_t id(const memory::RamBlock& block, uint64_t page, EntryWidth width);
  [[nodiscard]] TrackedTable* table(const PagingRegisters& registers, PhysicalAddress entry);
  void attach(ShadowSpace& space, uint32_t slot, TrackedTable& table);
  void release(ShadowSpace& space, uint32_t slot);
  void drop_slot(ShadowSpace& space, const PagingRegisters& registers, uint32_t slot);
  void compare(TrackedTable& table);
  void apply_changes(TrackedTable& table);
  void set_watched(TrackedTable& table);

  memory::PhysicalMap& memory_;
  std::unordered_map<uint64_t, std::unique_ptr<TrackedTable>> tables_;
  uint32_t patience_;
  uint64_t round_ = 0;
};

}  // namespace vitrine::paging
