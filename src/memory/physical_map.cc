#include "memory/physical_map.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "memory/single_copy.h"

namespace vitrine::memory {

Placement Placement::ram(PhysicalAddress start, uint64_t size, RamBlock& block, uint64_t offset,
                         int priority) {
  Placement placement = rom(start, size, block, offset, priority);
  placement.write_block = &block;
  placement.write_offset = offset;
  return placement;
}

Placement Placement::rom(PhysicalAddress start, uint64_t size, RamBlock& block, uint64_t offset,
                         int priority) {
  Placement placement;
  placement.start = start;
  placement.size = size;
  placement.priority = priority;
  placement.read_block = &block;
  placement.read_offset = offset;
  return placement;
}

Placement Placement::mmio(PhysicalAddress start, uint64_t size, MemoryDevice& device, uint64_t offset,
                          int priority) {
  Placement placement;
  placement.start = start;
  placement.size = size;
  placement.priority = priority;
  placement.device = &device;
  placement.offset = offset;
  return placement;
}

PhysicalMap::PhysicalMap()
    : accesses_(std::make_unique<inspect::DeviceCounters>()), nobody_(accesses_->of(nullptr, "nobody")) {
  rebuild();
}

inspect::DeviceCounter* PhysicalMap::counter_of(const Placement& placement) const {
  return placement.device == nullptr ? nullptr : &accesses_->of(placement.device, placement.device->name());
}

PlacementId PhysicalMap::add(const Placement& placement) {
  const PlacementId id = next_id_++;
  entries_.push_back({id, placement, counter_of(placement)});
  rebuild();
  return id;
}

void PhysicalMap::remove(PlacementId id) {
  const size_t removed = std::erase_if(entries_, [id](const Entry& entry) { return entry.id == id; });
  CHECK(removed == 1, "no placement {}", id);
  rebuild();
}

void PhysicalMap::replace(PlacementId id, const Placement& placement) {
  const auto it = std::ranges::find(entries_, id, &Entry::id);
  CHECK(it != entries_.end(), "no placement {}", id);
  it->placement = placement;
  it->counter = counter_of(placement);
  rebuild();
}

void PhysicalMap::assign(std::span<const Placement> placements) {
  entries_.clear();
  for (const Placement& placement : placements)
    entries_.push_back({next_id_++, placement, counter_of(placement)});
  rebuild();
}

void PhysicalMap::set_a20(bool open) {
  if (open == a20_open_) return;
  a20_open_ = open;
  a20_mask_ = open ? ~uint64_t{0} : ~(uint64_t{1} << 20);
  ++generation_;
  for (MapListener* listener : listeners_) listener->physical_map_changed();
}

void PhysicalMap::rebuild() {
  std::ranges::stable_sort(entries_, {}, [](const Entry& entry) { return entry.placement.priority; });

  std::vector<uint64_t> borders = {0, kAddressMask + 1};
  for (const auto& [id, placement, counter] : entries_) {
    const uint64_t start = placement.start.value;
    CHECK((start & kPageMask) == 0 && (placement.size & kPageMask) == 0 && placement.size != 0,
          "placement {:#x}+{:#x} is not whole pages", start, placement.size);
    CHECK(start <= kAddressMask && placement.size <= kAddressMask + 1 - start, "placement {:#x}+{:#x}", start,
          placement.size);
    borders.push_back(start);
    borders.push_back(start + placement.size);
  }
  std::ranges::sort(borders);
  borders.erase(std::ranges::unique(borders).begin(), borders.end());

  regions_.clear();
  const Entry* previous = nullptr;
  for (size_t i = 0; i + 1 < borders.size(); ++i) {
    const Entry* top_entry = nullptr;
    for (const Entry& entry : entries_) {
      const Placement& placement = entry.placement;
      if (placement.start.value <= borders[i] && borders[i] - placement.start.value < placement.size)
        top_entry = &entry;
    }
    if (i > 0 && top_entry == previous) {
      regions_.back().last = PhysicalAddress(borders[i + 1] - 1);
      continue;
    }
    previous = top_entry;
    Region region;
    region.start = PhysicalAddress(borders[i]);
    region.last = PhysicalAddress(borders[i + 1] - 1);
    if (top_entry != nullptr) {
      const Placement& top = top_entry->placement;
      const uint64_t skipped = borders[i] - top.start.value;
      region.read_block = top.read_block;
      region.read_offset = top.read_offset + skipped;
      region.write_block = top.write_block;
      region.write_offset = top.write_offset + skipped;
      region.device = top.device;
      region.device_offset = top.offset + skipped;
      region.counter = top_entry->counter;
    }
    regions_.push_back(region);
  }

  ++generation_;
  for (MapListener* listener : listeners_) listener->physical_map_changed();
}

const Region& PhysicalMap::find(PhysicalAddress address) const {
  const PhysicalAddress where = gated(address);
  const auto after = std::ranges::upper_bound(regions_, where, {}, &Region::start);
  return *(after - 1);
}

void PhysicalMap::remove_listener(MapListener& listener) {
  std::erase(listeners_, &listener);
}

void PhysicalMap::remove_write_listener(WriteListener& listener) {
  std::erase(write_listeners_, &listener);
}

void PhysicalMap::watch(RamBlock& block, uint64_t page, Watch reason) {
  const bool first = block.watches(page) == 0;
  block.watch(page, reason);
  if (!first) return;
  for (WriteListener* listener : write_listeners_) listener->page_watched(block, page);
}

void PhysicalMap::tell_watchers(RamBlock& block, uint64_t page, unsigned offset, unsigned size) {
  const uint8_t watches = block.watches(page);
  uint8_t needed = 0;
  writes_told_ = true;
  for (WriteListener* listener : write_listeners_)
    needed |= listener->watched_bytes_written(block, page, offset, size, watches);
  const auto idle = static_cast<uint8_t>(watches & ~needed);
  if (idle != 0) block.unwatch(page, static_cast<Watch>(idle));
}

void PhysicalMap::tell_finished() {
  writes_told_ = false;
  for (WriteListener* listener : write_listeners_) listener->watched_writes_finished();
}

void PhysicalMap::release_watch(RamBlock& block, uint64_t page, Watch reason) {
  const auto needs = [&](const WriteListener* listener) {
    return listener->needs_watch(block, page, reason);
  };
  if (std::ranges::none_of(write_listeners_, needs)) block.unwatch(page, reason);
}

namespace {

// Bytes from `address` to the end of its page, at most `size`. A closed A20 gate makes neighbouring megabytes
// coincide, so nothing larger than a page may be taken as contiguous.
size_t within_page(PhysicalAddress address, size_t size) {
  return std::min<size_t>(size, kPageSize - address.page_offset());
}

// The largest access of a power-of-two size that is naturally aligned at `offset` and fits.
unsigned aligned_access(uint64_t offset, size_t size) {
  unsigned access = 1;
  while (access < 4 && (offset & access) == 0 && size >= access * 2) access *= 2;
  return access;
}

}  // namespace

void PhysicalMap::read(PhysicalAddress address, std::span<uint8_t> data) const {
  while (!data.empty()) {
    const PhysicalAddress where = gated(address);
    const Region& region = find(where);
    const size_t size = within_page(where, data.size());
    if (const MachineAddress pointer = region.read_pointer(where)) {
      std::memcpy(data.data(), pointer.value, size);
    } else if (region.device != nullptr) {
      for (size_t done = 0; done < size;) {
        const unsigned access = aligned_access(where.value + done, size - done);
        const uint64_t value = read(where + done, access);
        std::memcpy(data.data() + done, &value, access);
        done += access;
      }
    } else {
      std::memset(data.data(), 0xff, size);
    }
    address = address + size;
    data = data.subspan(size);
  }
}

namespace {

// Kernels and disks' pieces come in megabytes: the host finds memory for many pages in one call at half the
// cost of a fault for each. Where it cannot (before Linux 5.14), the faults come.
void expect_writes(const Region& region, PhysicalAddress from, uint64_t size) {
  constexpr uint64_t kWorthACall = 64 << 10;
  size = std::min(size, region.last.value - from.value + 1);
  const MachineAddress pointer = region.write_pointer(from);
  if (size < kWorthACall || !pointer) return;
  const uint64_t before = from.page_offset();
  (void)::madvise(pointer.value - before, (before + size) & ~uint64_t{kPageMask}, MADV_POPULATE_WRITE);
}

}  // namespace

void PhysicalMap::write(PhysicalAddress address, std::span<const uint8_t> data) {
  if (!data.empty()) expect_writes(find(gated(address)), gated(address), data.size());
  while (!data.empty()) {
    const PhysicalAddress where = gated(address);
    const Region& region = find(where);
    const size_t size = within_page(where, data.size());
    if (const MachineAddress pointer = region.write_pointer(where)) {
      note_write(*region.write_block, region.write_page(where), where.page_offset(),
                 static_cast<unsigned>(size));
      std::memcpy(pointer.value, data.data(), size);
      finish_writes();
    } else if (region.device != nullptr) {
      for (size_t done = 0; done < size;) {
        const unsigned access = aligned_access(where.value + done, size - done);
        uint64_t value = 0;
        std::memcpy(&value, data.data() + done, access);
        write(where + done, access, value);
        done += access;
      }
    }
    address = address + size;
    data = data.subspan(size);
  }
}

uint64_t PhysicalMap::read(PhysicalAddress address, unsigned size) const {
  const PhysicalAddress where = gated(address);
  uint64_t value = 0;
  if (where.page_offset() + size > kPageSize) {
    const unsigned first = kPageSize - where.page_offset();
    read(where, std::span(reinterpret_cast<uint8_t*>(&value), first));
    read(where + first, std::span(reinterpret_cast<uint8_t*>(&value) + first, size - first));
    return value;
  }
  const Region& region = find(where);
  if (const MachineAddress pointer = region.read_pointer(where)) {
    single_copy(&value, pointer.value, size);
    return value;
  }
  const uint64_t ones = ~uint64_t{0} >> (64 - 8 * size);
  if (region.device == nullptr) {
    ++nobody_.reads;
    if (unmapped_ != nullptr) unmapped_->unmapped_memory(where.value, size, AccessDirection::Read, 0);
    return ones;
  }
  const uint64_t offset = region.device_offset + (where.value - region.start.value);
  ++region.counter->reads;
  const inspect::DeviceAccess access(*accesses_, *region.counter);
  if (gate_ != nullptr) return gate_->read_device(*region.device, offset, where, size) & ones;
  return region.device->read_memory(offset, size) & ones;
}

inspect::DeviceCounter* PhysicalMap::steady_register(PhysicalAddress address, unsigned size) const {
  const PhysicalAddress where = gated(address);
  if (where.page_offset() + size > kPageSize || gate_ != nullptr) return nullptr;
  const Region& region = find(where);
  if (region.read_block != nullptr || region.device == nullptr) return nullptr;
  const uint64_t offset = region.device_offset + (where.value - region.start.value);
  return region.device->is_steady(offset, size) ? region.counter : nullptr;
}

void PhysicalMap::write(PhysicalAddress address, unsigned size, uint64_t value) {
  const PhysicalAddress where = gated(address);
  if (where.page_offset() + size > kPageSize) {
    const unsigned first = kPageSize - where.page_offset();
    write(where, std::span(reinterpret_cast<const uint8_t*>(&value), first));
    write(where + first, std::span(reinterpret_cast<const uint8_t*>(&value) + first, size - first));
    return;
  }
  const Region& region = find(where);
  if (const MachineAddress pointer = region.write_pointer(where)) {
    note_write(*region.write_block, region.write_page(where), where.page_offset(), size);
    single_copy(pointer.value, &value, size);
    finish_writes();
  } else if (region.device != nullptr) {
    const uint64_t offset = region.device_offset + (where.value - region.start.value);
    ++region.counter->writes;
    const inspect::DeviceAccess access(*accesses_, *region.counter);
    if (gate_ != nullptr) return gate_->write_device(*region.device, offset, where, size, value);
    region.device->write_memory(offset, size, value);
  } else if (region.read_block == nullptr) {
    ++nobody_.writes;
    if (unmapped_ != nullptr) unmapped_->unmapped_memory(where.value, size, AccessDirection::Write, value);
  }
}

}  // namespace vitrine::memory
