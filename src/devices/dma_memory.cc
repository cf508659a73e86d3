#include "devices/dma_memory.h"

#include <algorithm>
#include <cstring>

namespace vitrine::devices {

// A closed A20 gate makes neighbouring megabytes coincide: then nothing larger than a page is contiguous.
uint64_t DmaMemory::piece(const memory::Region& region, PhysicalAddress where, uint64_t size) const {
  const uint64_t in_region = region.last.value - where.value + 1;
  const uint64_t most =
      map_.a20() ? in_region : std::min<uint64_t>(in_region, kPageSize - where.page_offset());
  return std::min(most, size);
}

std::span<const uint8_t> DmaMemory::readable(uint64_t address, uint64_t size) const {
  // PhysicalMap cuts addresses to what a processor has; here one beyond is an error.
  if (address > memory::PhysicalMap::kAddressMask) return {};
  const PhysicalAddress where = map_.gated(PhysicalAddress(address));
  const memory::Region& region = map_.find(where);
  const MachineAddress pointer = region.read_pointer(where);
  if (!pointer) return {};
  return {pointer.value, piece(region, where, size)};
}

std::span<uint8_t> DmaMemory::writable(uint64_t address, uint64_t size) {
  if (address > memory::PhysicalMap::kAddressMask) return {};
  const PhysicalAddress where = map_.gated(PhysicalAddress(address));
  const memory::Region& region = map_.find(where);
  const MachineAddress pointer = region.write_pointer(where);
  if (!pointer) return {};
  const uint64_t bytes = piece(region, where, size);
  const uint64_t first_page = region.write_page(where);
  unsigned offset = where.page_offset();
  uint64_t left = bytes;
  for (uint64_t page = first_page; left != 0; ++page) {
    const auto part = static_cast<unsigned>(std::min<uint64_t>(left, kPageSize - offset));
    map_.note_write(*region.write_block, page, offset, part);
    left -= part;
    offset = 0;
  }
  return {pointer.value, bytes};
}

bool DmaMemory::read(uint64_t address, std::span<uint8_t> data) const {
  while (!data.empty()) {
    const std::span<const uint8_t> bytes = readable(address, data.size());
    if (bytes.empty()) return false;
    std::memcpy(data.data(), bytes.data(), bytes.size());
    address += bytes.size();
    data = data.subspan(bytes.size());
  }
  return true;
}

bool DmaMemory::write(uint64_t address, std::span<const uint8_t> data) {
  while (!data.empty()) {
    const std::span<uint8_t> bytes = writable(address, data.size());
    if (bytes.empty()) return false;
    std::memcpy(bytes.data(), data.data(), bytes.size());
    address += bytes.size();
    data = data.subspan(bytes.size());
  }
  return true;
}

}  // namespace vitrine::devices
