#include "paging/page_run.h"

#include <algorithm>
#include <atomic>

#include "x86/page_entries.h"

namespace vitrine::paging {

namespace {

// A neighbour's distance in pages, negative below.
using Distance = int32_t;

bool same_state(const PageTarget& target, Distance distance, bool dirty) {
  const bool writable = target.may_write && dirty && target.block->watches(target.page + distance) == 0;
  return writable == (target.state == ShadowState::ReadWrite);
}

// The neighbour's entry differs from the page's own in the frame, by as much as it should, and in nothing
// that matters. The dirty bit is looked at with the rights.
template <typename Entry>
bool continues(Entry own, Entry neighbour, Distance distance) {
  constexpr Entry kIgnored = 0xe00 | x86::kPageDirty;
  const Entry expected = own + static_cast<Entry>(static_cast<int64_t>(distance) * kPageSize);
  return (neighbour & ~kIgnored) == (expected & ~kIgnored);
}

template <typename Entry>
PageRun run_of_entries(const Entry* own, const Translation& translation, const PageTarget& target,
                       uint32_t before, uint32_t after) {
  const auto fits = [&](Distance distance) {
    // SAFETY: the limits keep within the table's page; entries are naturally aligned, see page_walker.cc.
    auto* const where = const_cast<Entry*>(own + distance);
    const Entry entry = std::atomic_ref<Entry>(*where).load(std::memory_order_acquire);
    return continues(static_cast<Entry>(translation.entry), entry, distance) &&
           same_state(target, distance, (entry & x86::kPageDirty) != 0);
  };
  Distance first = 0;
  Distance last = 0;
  while (-first < static_cast<Distance>(before) && fits(first - 1)) --first;
  while (last < static_cast<Distance>(after) && fits(last + 1)) ++last;
  return {target.virtual_page + static_cast<uint32_t>(first), static_cast<uint32_t>(last - first + 1)};
}

// One entry, or none at all, maps all of it.
PageRun run_of_one_entry(const Translation& translation, const PageTarget& target, uint32_t before,
                         uint32_t after) {
  Distance first = 0;
  Distance last = 0;
  const auto fits = [&](Distance distance) { return same_state(target, distance, translation.dirty); };
  while (-first < static_cast<Distance>(before) && fits(first - 1)) --first;
  while (last < static_cast<Distance>(after) && fits(last + 1)) ++last;
  return {target.virtual_page + static_cast<uint32_t>(first), static_cast<uint32_t>(last - first + 1)};
}

}  // namespace

PageRun find_run(const memory::PhysicalMap& memory, const PagingRegisters& registers,
                 const Translation& translation, const memory::Region& region, const PageTarget& target,
                 uint32_t limit) {
  uint64_t before = target.virtual_page % limit;
  uint64_t after = limit - 1 - before;
  const uint64_t physical = memory.gated(translation.page()).value;
  before = std::min(before, (physical - region.start.value) >> kPageShift);
  after = std::min(after, (region.last.value - physical) >> kPageShift);
  after = std::min(after, (target.block->size() >> kPageShift) - 1 - target.page);
  if (!memory.a20()) {
    // Neighbouring megabytes coincide.
    constexpr uint64_t kPagesInMegabyte = 256;
    const uint64_t in_megabyte = (physical >> kPageShift) % kPagesInMegabyte;
    before = std::min(before, in_megabyte);
    after = std::min(after, kPagesInMegabyte - 1 - in_megabyte);
  }
  const auto b = static_cast<uint32_t>(before);
  const auto a = static_cast<uint32_t>(after);
  if (!registers.enabled() || translation.page_size != kPageSize) {
    return run_of_one_entry(translation, target, b, a);
  }
  const memory::Region& table = memory.find(translation.entry_address);
  const MachineAddress own = table.read_pointer(memory.gated(translation.entry_address));
  if (!own) return {target.virtual_page, 1};
  // SAFETY: entries are naturally aligned, see page_walker.cc.
  if (registers.pae()) {
    return run_of_entries(reinterpret_cast<const uint64_t*>(own.value), translation, target, b, a);
  }
  return run_of_entries(reinterpret_cast<const uint32_t*>(own.value), translation, target, b, a);
}

}  // namespace vitrine::paging
