#include "memory/port_map.h"

#include <algorithm>

#include "base/check.h"

namespace vitrine::memory {

PortMap::PortMap() : nobody_(accesses_.of(nullptr, "nobody")) {}

void PortMap::map(uint16_t first, unsigned count, PortDevice& device, PortWidth width) {
  CHECK(count > 0 && first + count <= 65536, "ports {:#x}+{}", first, count);
  ranges_.push_back({&device, first, count, width, &accesses_.of(&device, device.name())});
  rebuild();
}

void PortMap::unmap(uint16_t first, unsigned count, PortDevice& device) {
  const auto it = std::ranges::find_if(ranges_, [&](const Range& range) {
    return range.device == &device && range.first == first && range.count == count;
  });
  CHECK(it != ranges_.end(), "ports {:#x}+{} were not mapped", first, count);
  ranges_.erase(it);
  rebuild();
}

void PortMap::rebuild() {
  slots_.fill(0);
  for (size_t i = 0; i < ranges_.size(); ++i) {
    std::fill_n(slots_.begin() + ranges_[i].first, ranges_[i].count, static_cast<uint16_t>(i + 1));
  }
}

unsigned PortMap::piece(uint16_t port, unsigned size) const {
  const uint16_t slot = slots_[port];
  unsigned piece = 1;
  const unsigned width = slot == 0 ? 4 : static_cast<unsigned>(ranges_[slot - 1].width);
  while (piece < size && piece < width) {
    // Growing keeps to one device and to the end of the port space.
    for (unsigned i = piece; i < piece * 2; ++i) {
      if (port + i > 65535 || slots_[port + i] != slot) return piece;
    }
    piece *= 2;
  }
  return piece;
}

uint32_t PortMap::read(uint16_t port, unsigned size) {
  CHECK(size <= 4, "{} bytes", size);
  uint32_t value = 0;
  for (unsigned done = 0; done < size;) {
    const auto at = static_cast<uint16_t>(port + done);
    const unsigned bytes = piece(at, size - done);
    const uint32_t ones = bytes == 4 ? ~0u : (1u << (8 * bytes)) - 1;
    uint32_t part = ones;
    if (const uint16_t slot = slots_[at]) {
      const Range& range = ranges_[slot - 1];
      ++range.counter->reads;
      const inspect::DeviceAccess access(accesses_, *range.counter);
      part = range.device->read_port(at, bytes) & ones;
    } else {
      ++nobody_.reads;
      if (unmapped_ != nullptr) unmapped_->unmapped_port(at, bytes, AccessDirection::Read, 0);
    }
    value |= part << (8 * done);
    done += bytes;
  }
  return value;
}

void PortMap::write(uint16_t port, unsigned size, uint32_t value) {
  CHECK(size <= 4, "{} bytes", size);
  for (unsigned done = 0; done < size;) {
    const auto at = static_cast<uint16_t>(port + done);
    const unsigned bytes = piece(at, size - done);
    const uint32_t ones = bytes == 4 ? ~0u : (1u << (8 * bytes)) - 1;
    const uint32_t part = (value >> (8 * done)) & ones;
    if (const uint16_t slot = slots_[at]) {
      const Range& range = ranges_[slot - 1];
      ++range.counter->writes;
      const inspect::DeviceAccess access(accesses_, *range.counter);
      range.device->write_port(at, bytes, part);
    } else {
      ++nobody_.writes;
      if (unmapped_ != nullptr) unmapped_->unmapped_port(at, bytes, AccessDirection::Write, part);
    }
    done += bytes;
  }
}

PortMap::Range* PortMap::whole(uint16_t port, unsigned size) {
  const uint16_t slot = slots_[port];
  return slot != 0 && piece(port, size) == size ? &ranges_[slot - 1] : nullptr;
}

size_t PortMap::read_block(uint16_t port, unsigned size, std::span<uint8_t> data) {
  const Range* const range = whole(port, size);
  if (range == nullptr) return 0;
  inspect::DeviceCounter& counter = *range->counter;
  const inspect::DeviceAccess access(accesses_, counter);
  const size_t moved = range->device->read_port_block(port, size, data);
  counter.reads += moved / size;
  return moved;
}

size_t PortMap::write_block(uint16_t port, unsigned size, std::span<const uint8_t> data) {
  const Range* const range = whole(port, size);
  if (range == nullptr) return 0;
  inspect::DeviceCounter& counter = *range->counter;
  const inspect::DeviceAccess access(accesses_, counter);
  const size_t moved = range->device->write_port_block(port, size, data);
  counter.writes += moved / size;
  return moved;
}

}  // namespace vitrine::memory
