// ShadowPolicy::Proactive: pages of page tables and directories are watched for as long as windows were
// filled through them, and a write takes effect at once, in all spaces.
//
//   watched_bytes_written ──► note: which bytes        (before the write; nothing is known yet)
//   watched_writes_finished ─► compare these entries ─► drop or lower, wherever the table is used
#include <utility>

#include "paging/table_entries.h"
#include "paging/table_tracker.h"

namespace vitrine::paging {

using memory::RamBlock;
using memory::Watch;

// Something is filled through directory entry `number`, which is in its slot as it was walked. False: it is
// not so any more, and nothing may be filled.
bool TableTracker::protect_directory(ShadowSpace& space, const PagingRegisters& registers, uint32_t number) {
  ShadowSpace::Slot& slot = space.slots[number];
  const Directory directory(memory_, registers);
  const uint32_t index = directory.page_of(number);
  if (space.directories[index] == nullptr && !enter_directory(space, index, directory, width_of(registers))) {
    slot.untracked = true;
    return true;
  }
  space.directories[index]->writes = 0;
  return classify(slot.entry, directory.entry(number)) == Change::None;
}

// The space begins to depend on one of its pages of directory entries. False: it cannot be watched.
bool TableTracker::enter_directory(ShadowSpace& space, uint32_t index, const Directory& directory,
                                   EntryWidth width) {
  const auto [block, page] = directory.page(index);
  if (block == nullptr) return false;
  std::unique_ptr<TrackedDirectory>& found = directories_[id(*block, page, width)];
  if (found == nullptr) {
    found = std::make_unique<TrackedDirectory>();
    found->block = block;
    found->page = page;
    found->width = width;
    ++counters_.tables_protected;
    memory_.watch(*block, page, Watch::PageTable);
  }
  found->users.push_back({&space, index});
  space.directories[index] = found.get();
  return true;
}

void TableTracker::leave_directory(ShadowSpace& space, uint32_t index) {
  TrackedDirectory* const directory = std::exchange(space.directories[index], nullptr);
  if (directory == nullptr) return;
  std::erase_if(directory->users, [&](const TrackedDirectory::User& user) {
    return user.space == &space && user.index == index;
  });
  if (!directory->users.empty()) return;
  RamBlock& block = *directory->block;
  const uint64_t page = directory->page;
  directories_.erase(id(block, page, directory->width));
  memory_.release_watch(block, page, Watch::PageTable);
}

// At a load: the space depends on the pages that `directory` has now. True: some are others than before, and
// what was filled through them has to be compared.
bool TableTracker::use_directories(ShadowSpace& space, const Directory& directory, EntryWidth width) {
  bool changed = false;
  for (uint32_t i = 0; i < space.directories.size(); ++i) {
    const TrackedDirectory* const now = space.directories[i];
    const auto [block, page] = directory.page(i);
    if (now == nullptr ? !space.outdated : now->block == block && now->page == page) continue;
    leave_directory(space, i);
    // Watched first, then compared.
    (void)enter_directory(space, i, directory, width);
    changed = true;
  }
  return changed;
}

void TableTracker::note(RamBlock& block, uint64_t page, uint32_t offset, uint32_t size) {
  if (!watches(block, page)) return;
  const uint32_t end = offset + size;
  if (!written_.empty()) {
    // Ascending and descending stores are one.
    Written& last = written_.back();
    if (last.block == &block && last.page == page && offset <= last.end && end >= last.offset) {
      last.offset = std::min(last.offset, offset);
      last.end = std::max(last.end, end);
      return;
    }
  }
  written_.push_back({&block, page, offset, end});
}

void TableTracker::finish_writes() {
  // What is applied may make memory tell more.
  while (!written_.empty()) {
    const Written written = written_.back();
    written_.pop_back();
    for (const EntryWidth width : {EntryWidth::Legacy, EntryWidth::Pae}) {
      const uint64_t key = id(*written.block, written.page, width);
      const auto size = static_cast<uint32_t>(width);
      const uint32_t first = written.offset / size;
      const uint32_t end = (written.end + size - 1) / size;
      if (const auto found = tables_.find(key); found != tables_.end())
        apply_write(*found->second, first, end);
      if (const auto found = directories_.find(key); found != directories_.end())
        apply_write(*found->second, first, end);
    }
  }
}

void TableTracker::apply_write(TrackedTable& table, uint32_t first, uint32_t end) {
  ++counters_.table_writes;
  apply_changes(table, first, end);
  if (++table.writes > kMostWrites) give_up(table);
}

void TableTracker::apply_write(TrackedDirectory& directory, uint32_t first, uint32_t end) {
  ++counters_.table_writes;
  const uint32_t entries = entries_in_table(directory.width);
  const uint8_t* const memory = directory.block->data() + (directory.page << kPageShift);
  for (const auto& [space, index] : directory.users) {
    for (uint32_t i = first; i < end; ++i) {
      const uint32_t number = index * entries + i;
      if (!space->derived.test(number)) continue;
      if (classify(space->slots[number].entry, entry_at(memory, i, directory.width)) != Change::None)
        drop_changed(*space, directory.width, number);
    }
  }
  if (++directory.writes > kMostWrites) give_up(directory);
}

// A directory entry is not what it was. The page table of a process that has ended is cleared and soon made
// the next one's, with the same entries for the kernel. So what a space that nobody uses has in common with
// others is compared when it is loaded; the rest goes, and its tables are ordinary memory.
void TableTracker::drop_changed(ShadowSpace& space, EntryWidth width, uint32_t slot) {
  const TrackedTable* const table = space.slots[slot].table;
  const bool shared = table == nullptr || table->users.size() > 1;
  if (&space == in_use_ || !shared) return drop_slot(space, width, slot);
  space.outdated = true;
}

// Written again and again and used for no fill: it may be a table no more. If it is one, it will be found
// again.
void TableTracker::give_up(TrackedTable& table) {
  ++counters_.tables_released;
  const EntryWidth width = table.width;
  // Dies with its last user.
  const std::vector<TrackedTable::User> users = table.users;
  for (const auto& [space, slot] : users) drop_slot(*space, width, slot);
}

void TableTracker::give_up(TrackedDirectory& directory) {
  ++counters_.tables_released;
  const EntryWidth width = directory.width;
  const uint32_t entries = entries_in_table(width);
  const std::vector<TrackedDirectory::User> users = directory.users;
  for (const auto& [space, index] : users) {
    for_each_derived(*space, [&](uint32_t number) {
      if (number / entries == index) drop_changed(*space, width, number);
    });
    leave_directory(*space, index);
  }
}

}  // namespace vitrine::paging
