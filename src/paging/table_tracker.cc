#include "paging/table_tracker.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "paging/table_entries.h"
#include "x86/control_registers.h"

namespace vitrine::paging {

using memory::RamBlock;
using memory::Region;
using memory::Watch;

SpaceKey SpaceKey::of(const PagingRegisters& registers) {
  SpaceKey key;
  if (!registers.enabled()) {
    key.root = 0;
    return key;
  }
  key.root = registers.cr3 & (registers.pae() ? x86::kPaeCr3Mask : x86::kLegacyFrameMask);
  const uint32_t cr0 = registers.cr0 & (x86::kCr0Pg | x86::kCr0Wp);
  const uint32_t cr4 = registers.cr4 & (x86::kCr4Pse | x86::kCr4Pae);
  key.mode = uint64_t{cr0} | cr4 | (registers.no_execute() ? 1u : 0u) | (registers.pse36 ? 2u : 0u) |
             (registers.pat ? 4u : 0u);
  return key;
}

namespace {

constexpr uint32_t kMostPatience = 1u << 20;
// Of tables that are no more, for as many new ones: 300 KiB. Each takes an aligned allocation.
constexpr size_t kMostUnused = 64;

// Whether an entry, as it is now, gives what is to be filled from it as it was walked.
bool serves(uint64_t walked, uint64_t now, ShadowState state) {
  constexpr uint64_t kIgnored = 0xe00 | x86::kPageAccessed | x86::kPageDirty;
  if (state == ShadowState::ReadWrite && (now & x86::kPageDirty) == 0) return false;
  return ((walked ^ now) & ~kIgnored) == 0;
}

}  // namespace

TableTracker::~TableTracker() {
  // What memory asks us about while we let go: no page is watched on our behalf any more.
  const auto tables = std::exchange(tables_, {});
  const auto directories = std::exchange(directories_, {});
  for (const auto& [id, table] : tables) {
    if (table->watched) memory_.release_watch(*table->block, table->page, Watch::PageTable);
  }
  for (const auto& [id, directory] : directories)
    memory_.release_watch(*directory->block, directory->page, Watch::PageTable);
}

uint64_t TableTracker::id(const RamBlock& block, uint64_t page, EntryWidth width) {
  // The address in our own memory tells blocks apart; its low bits are free for the width.
  return reinterpret_cast<uint64_t>(block.data() + (page << kPageShift)) | static_cast<uint64_t>(width);
}

TrackedTable* TableTracker::table(const PagingRegisters& registers, PhysicalAddress entry) {
  const PhysicalAddress where = memory_.gated(entry);
  const Region& region = memory_.find(where);
  if (region.read_block == nullptr || (region.read_offset & kPageMask) != 0) return nullptr;
  const uint64_t page = region.read_page(where);
  if (page >= region.read_block->size() >> kPageShift) return nullptr;
  const EntryWidth width = width_of(registers);
  const uint64_t key = id(*region.read_block, page, width);
  const auto known = tables_.find(key);
  if (known != tables_.end()) return known->second.get();
  if (tables_.size() >= kMostTables) return nullptr;
  std::unique_ptr<TrackedTable> made = unused_table();
  made->block = region.read_block;
  made->page = page;
  made->width = width;
  made->patience = options_.patience;
  TrackedTable* const table = tables_.emplace(key, std::move(made)).first->second.get();
  if (protects()) protect(*table);
  std::memcpy(table->copy.data(), memory_of(*table), kPageSize);
  return table;
}

std::unique_ptr<TrackedTable> TableTracker::unused_table() {
  if (unused_.empty()) return std::make_unique<TrackedTable>();
  std::unique_ptr<TrackedTable> table = std::move(unused_.back());
  unused_.pop_back();
  *table = {};
  return table;
}

void TableTracker::attach(ShadowSpace& space, uint32_t slot, TrackedTable& table) {
  space.slots[slot].table = &table;
  table.users.push_back({&space, slot});
}

// Lets go of what a slot came from.
void TableTracker::release(ShadowSpace& space, uint32_t slot) {
  TrackedTable* const table = space.slots[slot].table;
  space.slots[slot] = {};
  space.derived.reset(slot);
  if (table == nullptr) return;
  std::erase_if(table->users,
                [&](const TrackedTable::User& user) { return user.space == &space && user.slot == slot; });
  if (!table->users.empty()) return;
  if (std::exchange(table->watched, false))
    memory_.release_watch(*table->block, table->page, Watch::PageTable);
  const auto known = tables_.find(id(*table->block, table->page, table->width));
  if (unused_.size() < kMostUnused) unused_.push_back(std::move(known->second));
  tables_.erase(known);
}

void TableTracker::detach(ShadowSpace& space) {
  for_each_derived(space, [&](uint32_t slot) { release(space, slot); });
  for (uint32_t i = 0; i < space.directories.size(); ++i) leave_directory(space, i);
}

void TableTracker::drop_slot(ShadowSpace& space, EntryWidth width, uint32_t slot) {
  const uint32_t pages = entries_in_table(width);
  Dropper(space).add(slot * pages, pages);
  release(space, slot);
}

// Makes the slot that `page` lies in belong to what the walk found there. False: another processor has
// changed that since.
bool TableTracker::prepare(ShadowSpace& space, const PagingRegisters& registers,
                           const Translation& translation, uint32_t page) {
  if (!registers.enabled()) return true;
  const EntryWidth width = width_of(registers);
  const uint32_t number = page / entries_in_table(width);
  ShadowSpace::Slot& slot = space.slots[number];
  if (space.derived.test(number) && classify(slot.entry, translation.directory_entry) != Change::None) {
    drop_slot(space, width, number);
  }
  slot.entry = translation.directory_entry;
  space.derived.set(number);
  if (protects() && !protect_directory(space, registers, number)) {
    drop_slot(space, width, number);
    return false;
  }
  if (translation.page_size == kPageSize && slot.table == nullptr && !slot.untracked) {
    TrackedTable* const found = table(registers, translation.entry_address);
    if (found == nullptr || found->users.size() >= kMostUsers) {
      slot.untracked = true;
    } else {
      attach(space, number, *found);
    }
  }
  space.untracked = space.untracked || slot.untracked;
  return true;
}

bool TableTracker::derive(ShadowSpace& space, const PagingRegisters& registers,
                          const Translation& translation, const PageRun& run, ShadowState state) {
  if (!registers.enabled()) return true;
  const auto [first, count] = run;
  if (!prepare(space, registers, translation, first)) return false;
  const EntryWidth width = width_of(registers);
  const uint32_t pages = entries_in_table(width);
  const ShadowSpace::Slot& slot = space.slots[first / pages];
  if (translation.page_size != kPageSize || slot.table == nullptr) return true;

  TrackedTable& table = *slot.table;
  table.writes = 0;
  const auto own =
      static_cast<uint32_t>((translation.entry_address.value & kPageMask) / static_cast<uint32_t>(width));
  bool same = true;
  for (uint32_t i = first % pages; i < first % pages + count; ++i) {
    const uint64_t now = entry_at(memory_of(table), i, width);
    if (table.derived.test(i)) {
      const Change change = classify(entry_at(table.copy.data(), i, width), now);
      for (const TrackedTable::User& user : table.users) {
        if (change == Change::None) break;
        const uint32_t page = user.slot * pages + i;
        for (const auto& window : user.space->windows) {
          change == Change::Gone ? window->drop(page, 1) : window->lower(page, 1);
        }
      }
    }
    table.derived.set(i);
    set_copy(table, i, now);
    // In unsigned arithmetic, for neighbours on both sides.
    const uint64_t walked = translation.entry + (uint64_t{i} - own) * kPageSize;
    same = same && serves(walked, now, state);
  }
  return same;
}

std::vector<PageRun> TableTracker::share(ShadowSpace& space, const ShadowSpace& donor,
                                         const PagingRegisters& registers) {
  const uint32_t pages = entries_in_table(width_of(registers));
  const Directory directory(memory_, registers);
  std::vector<PageRun> common;
  for_each_derived(donor, [&](uint32_t number) {
    const ShadowSpace::Slot& theirs = donor.slots[number];
    const bool full = theirs.table != nullptr && theirs.table->users.size() >= kMostUsers;
    if (theirs.untracked || full || classify(theirs.entry, directory.entry(number)) != Change::None) return;
    ShadowSpace::Slot& slot = space.slots[number];
    slot.entry = theirs.entry;
    space.derived.set(number);
    if (protects() && (!protect_directory(space, registers, number) || slot.untracked)) {
      release(space, number);
      return;
    }
    if (theirs.table != nullptr) attach(space, number, *theirs.table);
    common.push_back({number * pages, pages});
  });
  return common;
}

void TableTracker::synchronize(ShadowSpace& space, const PagingRegisters& registers) {
  in_use_ = &space;
  if (!registers.enabled()) return;
  ++round_;
  const Directory directory(memory_, registers);
  if (protects()) {
    // All else has been kept right by the writes.
    const bool changed = use_directories(space, directory, width_of(registers));
    const bool outdated = std::exchange(space.outdated, false);
    if (std::exchange(space.untracked, false) || changed || outdated)
      compare_directory(space, directory, width_of(registers));
    return;
  }
  compare_directory(space, directory, width_of(registers));
  for_each_derived(space, [&](uint32_t number) {
    TrackedTable* const table = space.slots[number].table;
    if (table == nullptr || table->watched || table->compared_at == round_) return;
    table->compared_at = round_;
    compare(*table);
  });
}

void TableTracker::compare_directory(ShadowSpace& space, const Directory& directory, EntryWidth width) {
  const uint32_t pages = entries_in_table(width);
  Dropper dropper(space);
  for_each_derived(space, [&](uint32_t number) {
    ShadowSpace::Slot& slot = space.slots[number];
    const uint64_t now = directory.entry(number);
    if (slot.untracked || classify(slot.entry, now) != Change::None) {
      dropper.add(number * pages, pages);
      release(space, number);
    }
  });
}

void TableTracker::compare(TrackedTable& table) {
  ++counters_.tables_compared;
  if (std::memcmp(table.copy.data(), memory_of(table), kPageSize) != 0) {
    table.unchanged = 0;
    apply_changes(table, 0, entries_in_table(table.width));
  } else if (++table.unchanged >= table.patience) {
    set_watched(table);
  }
}

// Entries first…end-1.
void TableTracker::apply_changes(TrackedTable& table, uint32_t first, uint32_t end) {
  const uint32_t pages = entries_in_table(table.width);
  std::array<uint16_t, 1024> gone;
  std::array<uint16_t, 1024> lowered;
  uint32_t gone_count = 0;
  uint32_t lowered_count = 0;
  for (uint32_t i = first; i < end; ++i) {
    const uint64_t old = entry_at(table.copy.data(), i, table.width);
    const uint64_t now = entry_at(memory_of(table), i, table.width);
    if (old == now) continue;
    set_copy(table, i, now);
    if (!table.derived.test(i)) continue;
    const Change change = classify(old, now);
    if (change == Change::Lowered) lowered[lowered_count++] = static_cast<uint16_t>(i);
    if (change != Change::Gone) continue;
    gone[gone_count++] = static_cast<uint16_t>(i);
    table.derived.reset(i);
  }
  for (const TrackedTable::User& user : table.users) {
    const uint32_t base = user.slot * pages;
    Dropper dropper(*user.space);
    for (uint32_t i = 0; i < gone_count; ++i) dropper.add(base + gone[i], 1);
    for (uint32_t i = 0; i < lowered_count;) {
      uint32_t stop = i + 1;
      while (stop < lowered_count && lowered[stop] == lowered[stop - 1] + 1) ++stop;
      for (const auto& window : user.space->windows) window->lower(base + lowered[i], stop - i);
      i = stop;
    }
  }
}

void TableTracker::protect(TrackedTable& table) {
  table.watched = true;
  ++counters_.tables_protected;
  memory_.watch(*table.block, table.page, Watch::PageTable);
}

void TableTracker::set_watched(TrackedTable& table) {
  table.unchanged = 0;
  protect(table);
  // Another processor may have written between the comparison and the watch.
  if (std::memcmp(table.copy.data(), memory_of(table), kPageSize) != 0)
    apply_changes(table, 0, entries_in_table(table.width));
}

void TableTracker::written(RamBlock& block, uint64_t page, uint32_t offset, uint32_t size) {
  if (protects()) {
    note(block, page, offset, size);
    return;
  }
  for (const EntryWidth width : {EntryWidth::Legacy, EntryWidth::Pae}) {
    const auto found = tables_.find(id(block, page, width));
    if (found == tables_.end()) continue;
    TrackedTable& table = *found->second;
    if (!table.watched) continue;
    table.watched = false;
    table.patience = std::min(table.patience * 2, kMostPatience);
  }
}

bool TableTracker::watches(const RamBlock& block, uint64_t page) const {
  return std::ranges::any_of(std::array{EntryWidth::Legacy, EntryWidth::Pae}, [&](EntryWidth width) {
    const uint64_t key = id(block, page, width);
    const auto found = tables_.find(key);
    return (found != tables_.end() && found->second->watched) || directories_.contains(key);
  });
}

void TableTracker::invalidate(ShadowSpace& space, const PagingRegisters& registers, uint32_t page) {
  if (!registers.enabled()) return;
  const EntryWidth width = width_of(registers);
  const uint32_t pages = entries_in_table(width);
  const uint32_t number = page / pages;
  if (!space.derived.test(number)) return;
  const ShadowSpace::Slot& slot = space.slots[number];
  if (slot.untracked || classify(slot.entry, Directory(memory_, registers).entry(number)) != Change::None) {
    drop_slot(space, width, number);
    return;
  }
  if (slot.table == nullptr || slot.table->watched) return;
  TrackedTable& table = *slot.table;
  const uint32_t index = page % pages;
  if (!table.derived.test(index)) return;
  const uint64_t now = entry_at(memory_of(table), index, width);
  const Change change = classify(entry_at(table.copy.data(), index, width), now);
  set_copy(table, index, now);
  if (change == Change::None) return;
  if (change == Change::Gone) table.derived.reset(index);
  const uint32_t count = change == Change::Gone ? std::min(table.drop_ahead(index), pages - index) : 1;
  for (const TrackedTable::User& user : table.users) {
    for (const auto& window : user.space->windows) {
      const uint32_t victim = user.slot * pages + index;
      if (change == Change::Lowered) window->lower(victim, 1);
      if (change == Change::Gone && window->book().given(victim)) window->drop(victim, count);
    }
  }
}

// Systems take a range down page by page, each with its INVLPG. What the next ones will drop goes with the
// first few: an entry may leave a TLB at any time, and a call of the host's costs the same for one page as
// for many.
uint32_t TrackedTable::drop_ahead(uint32_t index) {
  constexpr uint32_t kMost = 32, kGrowth = 4;
  ahead = index == expected_next ? std::min(ahead * kGrowth, kMost) : 1;
  expected_next = index + 1;
  return ahead;
}

uint32_t TableTracker::agreement(const ShadowSpace& space, const PagingRegisters& registers) const {
  const Directory directory(memory_, registers);
  uint32_t agreeing = 0;
  for_each_derived(space, [&](uint32_t slot) {
    if (classify(space.slots[slot].entry, directory.entry(slot)) == Change::None) ++agreeing;
  });
  return agreeing;
}

bool TableTracker::abandoned(const ShadowSpace& space, const PagingRegisters& registers) const {
  const Directory own(memory_, space.registers);
  const Directory other(memory_, registers);
  uint32_t taken_down = 0;
  uint32_t left = 0;
  for_each_derived(space, [&](uint32_t slot) {
    const uint64_t was = space.slots[slot].entry;
    if (classify(was, other.entry(slot)) == Change::None) return;
    ++(classify(was, own.entry(slot)) == Change::None ? left : taken_down);
  });
  return taken_down != 0 && left == 0;
}

}  // namespace vitrine::paging
