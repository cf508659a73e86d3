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
//
// ShadowPolicy::Proactive instead watches every table and directory that something was filled through, before
// it is copied. Each write is told (watched_bytes_written), and once it is done the entries that it changed
// are dropped or lowered in all spaces; so nothing is ever stale, and loads compare nothing. A page that is
// written again and again without being used for a fill is taken for one that is no table any more, and
// released.
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
#include "paging/shadow_counters.h"
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
  uint32_t writes = 0;     ///< Protected: since something was filled from it.
  uint32_t unchanged = 0;  ///< Comparisons in a row that found no change.
  uint32_t patience = 0;   ///< So many before the page is watched; grows each time that was wrong.
  uint64_t compared_at = 0;
  uint32_t expected_next = 0;  ///< Entry behind the one invalidated last.
  uint32_t ahead = 1;          ///< So many pages went with that one.

  /// How many pages from entry `index` on leave the windows with it, which has been invalidated.
  [[nodiscard]] uint32_t drop_ahead(uint32_t index);
};

/// A page of directory entries, watched (ShadowPolicy::Proactive).
struct TrackedDirectory {
  struct User {
    ShadowSpace* space;
    uint32_t index;  ///< Which of the space's pages of directory entries: 0 but with PAE.
  };

  memory::RamBlock* block = nullptr;
  uint64_t page = 0;
  EntryWidth width = EntryWidth::Legacy;
  std::vector<User> users;
  uint32_t writes = 0;  ///< Since something was filled through it.
};

class Directory;

class TableTracker {
 public:
  /// Comparing costs about 0.1 µs; protecting a page costs some µs for each window that shows it, and as much
  /// again at the next write.
  static constexpr uint32_t kPatience = 256;

  /// Protected: so many writes to a page without a fill through it, and it is released. Each costs some µs;
  /// so does finding it again.
  static constexpr uint32_t kMostWrites = 32;

  struct Options {
    bool protects = false;  ///< ShadowPolicy::Proactive.
    uint32_t patience = kPatience;
  };

  TableTracker(memory::PhysicalMap& memory, ShadowCounters& counters, const Options& options)
      : memory_(memory), counters_(counters), options_(options) {}
  ~TableTracker();
  TableTracker(const TableTracker&) = delete;
  TableTracker& operator=(const TableTracker&) = delete;

  /// Proactive: something is about to be filled at a page, and what it comes from is watched from here on, so
  /// that the fill itself gives nobody the right to write there. False: as with derive().
  [[nodiscard]] bool prepare(ShadowSpace& space, const PagingRegisters& registers,
                             const Translation& translation, uint32_t page);
  /// The pages of `run`, all by entries of one table or by one large page, are about to
  /// be filled in `space` as `state`. Drops whatever the same entries gave with another meaning. False:
  /// another processor has changed the entries since they were walked, and nothing may be filled from that
  /// walk.
  [[nodiscard]] bool derive(ShadowSpace& space, const PagingRegisters& registers,
                            const Translation& translation, const PageRun& run, ShadowState state);
  /// `space` is empty: it comes to depend on all tables that its page table, that of `registers`, has in
  /// common with `donor`'s. Returns the pages behind them, which may then show what they show there.
  [[nodiscard]] std::vector<PageRun> share(ShadowSpace& space, const ShadowSpace& donor,
                                           const PagingRegisters& registers);
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

  /// Bytes of a watched page are about to be written.
  void written(memory::RamBlock& block, uint64_t page, uint32_t offset, uint32_t size);
  /// They have been: what they mean now is applied.
  void finish_writes();
  /// Blocks may have died. Nothing may be derived any more.
  void forget_writes() { written_.clear(); }
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
  [[nodiscard]] std::unique_ptr<TrackedTable> unused_table();
  void attach(ShadowSpace& space, uint32_t slot, TrackedTable& table);
  void release(ShadowSpace& space, uint32_t slot);
  void drop_slot(ShadowSpace& space, EntryWidth width, uint32_t slot);
  void compare_directory(ShadowSpace& space, const Directory& directory, EntryWidth width);
  void compare(TrackedTable& table);
  void apply_changes(TrackedTable& table, uint32_t first, uint32_t end);
  void protect(TrackedTable& table);
  void set_watched(TrackedTable& table);

  // table_protection.cc: ShadowPolicy::Proactive.
  [[nodiscard]] bool protects() const { return options_.protects; }
  [[nodiscard]] bool protect_directory(ShadowSpace& space, const PagingRegisters& registers, uint32_t number);
  [[nodiscard]] bool use_directories(ShadowSpace& space, const Directory& directory, EntryWidth width);
  [[nodiscard]] bool enter_directory(ShadowSpace& space, uint32_t index, const Directory& directory,
                                     EntryWidth width);
  void leave_directory(ShadowSpace& space, uint32_t index);
  void note(memory::RamBlock& block, uint64_t page, uint32_t offset, uint32_t size);
  void apply_write(TrackedTable& table, uint32_t first, uint32_t end);
  void apply_write(TrackedDirectory& directory, uint32_t first, uint32_t end);
  void give_up(TrackedTable& table);
  void give_up(TrackedDirectory& directory);
  void drop_changed(ShadowSpace& space, EntryWidth width, uint32_t slot);

  /// Bytes offset…end-1.
  struct Written {
    memory::RamBlock* block;
    uint64_t page;
    uint32_t offset, end;
  };

  memory::PhysicalMap& memory_;
  ShadowCounters& counters_;
  Options options_;
  std::unordered_map<uint64_t, std::unique_ptr<TrackedTable>> tables_;
  std::vector<std::unique_ptr<TrackedTable>> unused_;  // of processes that have ended, for the next ones
  std::unordered_map<uint64_t, std::unique_ptr<TrackedDirectory>> directories_;
  std::vector<Written> written_;
  uint64_t round_ = 0;
  const ShadowSpace* in_use_ = nullptr;  // the one that was loaded last; others show nobody anything
};

}  // namespace vitrine::paging
