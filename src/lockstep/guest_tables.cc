#include "lockstep/guest_tables.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "x86/control_registers.h"
#include "x86/page_entries.h"

namespace vitrine::lockstep {
namespace {

constexpr uint8_t kFlags = x86::kPageAccessed | x86::kPageDirty;

uint64_t entry_of(std::span<const uint8_t> page, unsigned index, unsigned size) {
  uint64_t value = 0;
  std::memcpy(&value, page.data() + size_t{index} * size, size);
  return value;
}

bool names_table(uint64_t entry) {
  return (entry & (x86::kPagePresent | x86::kPageLarge)) == x86::kPagePresent;
}

PhysicalAddress frame(uint64_t entry, bool pae) {
  return PhysicalAddress(pae ? x86::pae_frame(entry) : entry & x86::kLegacyFrameMask);
}

}  // namespace

void GuestTables::forget() {
  tables_.clear();
  fresh_.clear();
}

// What the new CR3 does not lead to is memory like any other. When it is a table again, CR3 will have been
// loaded, and everything forgotten that processors remember of it.
void GuestTables::step_ended() {
  for (Table* const table : fresh_) table->fresh = false;
  fresh_.clear();
  if (std::exchange(stale_, false))
    std::erase_if(tables_, [this](const auto& known) { return known.second->found != learned_; });
}

PageOf GuestTables::page_at(PhysicalAddress address) const {
  const memory::Region& region = memory_.find(address);
  if (region.read_block == nullptr) return {};
  return {region.read_block, region.read_page(memory_.gated(address))};
}

void GuestTables::add(PhysicalAddress address, bool directory) {
  const PageOf page = page_at(address);
  if (page.block == nullptr) return;
  auto& table = tables_[page];
  if (table == nullptr) {
    table = std::make_unique<Table>();
    fresh_.push_back(table.get());
    std::memcpy(table->seen.data(), page.block->data() + (page.page << kPageShift), kPageSize);
  }
  if (table->found != learned_) table->directory = table->leaves = false;
  table->found = learned_;
  (directory ? table->directory : table->leaves) = true;
  if (directory) add_tables_of(*table);
}

void GuestTables::add_tables_of(const Table& directory) {
  for (unsigned n = 0; n < kPageSize / entry_size(); ++n) {
    const uint64_t entry = entry_of(directory.seen, n, entry_size());
    if (names_table(entry)) add(frame(entry, pae_), false);
  }
}

void GuestTables::learn(const cpu::CpuState& state) {
  ++learned_;
  stale_ = true;
  if ((state.cr0 & x86::kCr0Pg) == 0) return;
  const bool pae = (state.cr4 & x86::kCr4Pae) != 0;
  if (pae != pae_) forget();
  pae_ = pae;
  if (!pae) return add(PhysicalAddress(state.cr3 & x86::kLegacyFrameMask), true);
  for (const uint64_t pointer : state.pdptes)
    if ((pointer & x86::kPagePresent) != 0) add(frame(pointer, true), true);
}

// ---- What the processor forgets.

void GuestTables::forgive(PhysicalAddress table, unsigned index) {
  const auto found = tables_.find(page_at(table));
  if (found != tables_.end()) found->second->free[index] = 0;
}

void GuestTables::invalidated(cpu::Invalidation what, uint32_t linear, const cpu::CpuState& state) {
  ++moment_;
  if (what == cpu::Invalidation::All) forgot_all_ = forgot_non_global_ = moment_;
  if (what == cpu::Invalidation::NonGlobal) forgot_non_global_ = moment_;
  ++moment_;
  if (what != cpu::Invalidation::Page || (state.cr0 & x86::kCr0Pg) == 0) return;
  const PhysicalAddress directory = pae_ ? frame(state.pdptes[x86::pae_pointer_index(linear)], true)
                                         : PhysicalAddress(state.cr3 & x86::kLegacyFrameMask);
  const unsigned index = pae_ ? x86::pae_directory_index(linear) : x86::legacy_directory_index(linear);
  const auto found = tables_.find(page_at(directory));
  if (found == tables_.end()) return;
  found->second->free[index] = 0;
  const uint64_t entry = entry_of(found->second->seen, index, entry_size());
  if (names_table(entry))
    forgive(frame(entry, pae_), pae_ ? x86::pae_table_index(linear) : x86::legacy_table_index(linear));
}

uint8_t GuestTables::may_differ(const Table& table, unsigned index) const {
  if (directory_changed_ > forgot_non_global_) return kFlags;
  const uint32_t forgot = table.global[index] ? forgot_all_ : forgot_non_global_;
  return table.since[index] > forgot ? table.free[index] : 0;
}

// The entry has changed, from what was seen last to what both engines have now.
void GuestTables::follow(Table& table, unsigned index, uint64_t before, uint64_t now) {
  if ((before & x86::kPagePresent) == 0 || before == now) return;
  const bool other = ((before ^ now) & ~uint64_t{kFlags}) != 0;
  const auto cleared = static_cast<uint8_t>(before & ~now & kFlags);
  if (!other && cleared == 0) return;
  if (table.directory && other && names_table(before)) directory_changed_ = moment_;
  const bool leaf = table.leaves || !names_table(before);
  const uint8_t left = may_differ(table, index);
  table.free[index] = static_cast<uint8_t>(left | (other ? kFlags : cleared));
  table.global[index] = leaf && (before & x86::kPageGlobal) != 0;
  table.since[index] = moment_;
}

GuestTables::Verdict GuestTables::judge(const PageOf& page, std::span<uint8_t> leader,
                                        std::span<const uint8_t> follower, Tried tried) {
  const auto found = tables_.find(page);
  if (found == tables_.end()) return {};
  Table& table = *found->second;
  Verdict verdict;
  bool tables_named = false;
  constexpr unsigned kPiece = 64;
  for (unsigned n = 0; n < kPageSize / entry_size(); ++n) {
    // Most of it is as it was.
    const size_t at = size_t{n} * entry_size();
    if (at % kPiece == 0 && std::memcmp(table.seen.data() + at, leader.data() + at, kPiece) == 0 &&
        std::memcmp(leader.data() + at, follower.data() + at, kPiece) == 0) {
      n += kPiece / entry_size() - 1;
      continue;
    }
    const uint64_t ours = entry_of(leader, n, entry_size()), theirs = entry_of(follower, n, entry_size());
    const uint64_t seen = entry_of(table.seen, n, entry_size());
    if (seen == ours && ours == theirs) [[likely]]
      continue;
    const uint64_t before = table.fresh ? ours & theirs : seen;
    const uint64_t both = ours | theirs;
    follow(table, n, before, ours & theirs);
    if (ours != theirs) {
      const uint64_t differs = ours ^ theirs;
      const bool flags_only = (differs & ~uint64_t{kFlags}) == 0 && (ours & x86::kPagePresent) != 0;
      const bool more = flags_only && both == theirs;
      if (more && tried == Tried::Yes) {
        verdict.early = true;
        continue;
      }
      const bool interrupted = more && tried == Tried::YesButInterrupted;
      if (!interrupted && (!flags_only || (differs & ~uint64_t{may_differ(table, n)}) != 0)) {
        verdict.difference +=
            fmt::format("  {:<18} {:>18x} {:>18x}{}\n", fmt::format("entry {}", n), ours, theirs,
                        flags_only ? fmt::format(", before {:x}: the manual fixes these flags", before) : "");
        continue;
      }
      std::memcpy(leader.data() + size_t{n} * entry_size(), &both, entry_size());
      verdict.merged = true;
    }
    std::memcpy(table.seen.data() + size_t{n} * entry_size(), &both, entry_size());
    tables_named = tables_named || (names_table(both) && both != seen);
  }
  if (table.directory && tables_named) add_tables_of(table);
  return verdict;
}

}  // namespace vitrine::lockstep
