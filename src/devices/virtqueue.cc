#include "devices/virtqueue.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

namespace vitrine::devices {
namespace {

// VIRTIO 1.1, "The Virtqueue Descriptor Table".
constexpr uint16_t kNext = 1;
constexpr uint16_t kDeviceWrites = 2;
constexpr uint16_t kIndirect = 4;
constexpr unsigned kDescriptorSize = 16;
// "The Virtqueue Available Ring".
constexpr uint16_t kNoInterrupt = 1;

// Both rings: flags, index, entries.
constexpr unsigned kRingIndex = 2;
constexpr unsigned kRingEntries = 4;

}  // namespace

void VirtqueueChain::clear(uint16_t head) {
  head_ = head;
  readable_size_ = writable_size_ = 0;
  readable_.clear();
  writable_.clear();
}

void VirtqueueChain::add(const Buffer& buffer, bool device_writes) {
  (device_writes ? writable_ : readable_).push_back(buffer);
  (device_writes ? writable_size_ : readable_size_) += buffer.size;
}

template <typename Take>
bool VirtqueueChain::for_each(const Buffers& buffers, uint64_t offset, uint64_t size, Take take) {
  for (const Buffer& buffer : buffers) {
    if (size == 0) return true;
    if (offset >= buffer.size) {
      offset -= buffer.size;
      continue;
    }
    uint64_t left = std::min<uint64_t>(buffer.size - offset, size);
    size -= left;
    // An address may wrap around: then no memory is there.
    for (uint64_t address = buffer.address + offset; left != 0;) {
      const uint64_t taken = take(address, left);
      if (taken == 0) return false;
      address += taken;
      left -= taken;
    }
    offset = 0;
  }
  return size == 0;
}

bool VirtqueueChain::read(const DmaMemory& memory, uint64_t offset, std::span<uint8_t> data) const {
  return for_each(readable_, offset, data.size(), [&](uint64_t address, uint64_t size) -> uint64_t {
    if (!memory.read(address, data.first(size))) return 0;
    data = data.subspan(size);
    return size;
  });
}

bool VirtqueueChain::write(DmaMemory& memory, uint64_t offset, std::span<const uint8_t> data) const {
  return for_each(writable_, offset, data.size(), [&](uint64_t address, uint64_t size) -> uint64_t {
    if (!memory.write(address, data.first(size))) return 0;
    data = data.subspan(size);
    return size;
  });
}

bool VirtqueueChain::find_readable(const DmaMemory& memory, uint64_t offset, uint64_t size,
                                   std::vector<std::span<const uint8_t>>& pieces) const {
  return for_each(readable_, offset, size, [&](uint64_t address, uint64_t left) -> uint64_t {
    const auto piece = memory.readable(address, left);
    if (!piece.empty()) pieces.push_back(piece);
    return piece.size();
  });
}

bool VirtqueueChain::find_writable(DmaMemory& memory, uint64_t offset, uint64_t size,
                                   std::vector<std::span<uint8_t>>& pieces) const {
  return for_each(writable_, offset, size, [&](uint64_t address, uint64_t left) -> uint64_t {
    const auto piece = memory.writable(address, left);
    if (!piece.empty()) pieces.push_back(piece);
    return piece.size();
  });
}

void Virtqueue::reset() {
  *this = Virtqueue(most_);
}

bool Virtqueue::set_size(uint16_t size) {
  if (!std::has_single_bit(size) || size > most_) return false;
  if (!ready_) size_ = size;
  return true;
}

void Virtqueue::set_rings(const Rings& rings) {
  if (!ready_) rings_ = rings;
}

// VIRTIO 1.1, "Split Virtqueues": alignment of the three parts.
bool Virtqueue::aligned() const {
  return rings_.descriptors % 16 == 0 && rings_.available % 2 == 0 && rings_.used % 4 == 0;
}

void Virtqueue::enable() {
  if (ready_) return;
  ready_ = true;
  broken_ = !aligned();
}

void Virtqueue::place_legacy(uint32_t page) {
  reset();
  if (page == 0) return;
  const uint64_t start = uint64_t{page} << kPageShift;
  rings_.descriptors = start;
  rings_.available = start + kDescriptorSize * uint64_t{size_};
  const uint64_t end = rings_.available + kRingEntries + 2 * uint64_t{size_} + 2;
  rings_.used = (end + kLegacyAlignment - 1) & ~(kLegacyAlignment - 1);
  enable();
}

uint32_t Virtqueue::legacy_page() const {
  return ready_ ? static_cast<uint32_t>(rings_.descriptors >> kPageShift) : 0;
}

bool Virtqueue::load(const DmaMemory& memory, uint64_t table, uint16_t index, Descriptor& descriptor) {
  std::array<uint8_t, kDescriptorSize> bytes{};
  if (!memory.read(table + kDescriptorSize * uint64_t{index}, bytes)) return false;
  std::memcpy(&descriptor.address, &bytes[0], 8);
  std::memcpy(&descriptor.size, &bytes[8], 4);
  std::memcpy(&descriptor.flags, &bytes[12], 2);
  std::memcpy(&descriptor.next, &bytes[14], 2);
  return true;
}

// Follows the chain from its head. A chain visits no descriptor twice, so that one longer than its table is a
// loop.
bool Virtqueue::collect(DmaMemory& memory, Features features, VirtqueueChain& chain) const {
  uint64_t table = rings_.descriptors;
  unsigned entries = size_;
  bool inside_indirect = false;
  uint16_t index = chain.head();
  for (unsigned visited = 0;;) {
    Descriptor descriptor{};
    if (index >= entries || visited++ == entries || !load(memory, table, index, descriptor)) return false;
    if ((descriptor.flags & kIndirect) != 0) {
      // "Indirect Descriptors": not one inside another, no further link, whole descriptors.
      if (!features.indirect || inside_indirect || (descriptor.flags & kNext) != 0) return false;
      const uint32_t count = descriptor.size / kDescriptorSize;
      if (descriptor.size % kDescriptorSize != 0 || count == 0 || count > kMostBuffers) return false;
      table = descriptor.address;
      entries = count;
      inside_indirect = true;
      index = 0;
      visited = 0;
      continue;
    }
    const bool device_writes = (descriptor.flags & kDeviceWrites) != 0;
    // "The Virtqueue Descriptor Table": buffers to be written come after all others.
    if (!device_writes && !chain.writable().empty()) return false;
    chain.add({descriptor.address, descriptor.size}, device_writes);
    if ((descriptor.flags & kNext) == 0) break;
    index = descriptor.next;
  }
  return true;
}

bool Virtqueue::pop(DmaMemory& memory, Features features, VirtqueueChain& chain) {
  if (!ready_ || broken_) return false;
  const auto available = memory.load<uint16_t>(rings_.available + kRingIndex);
  if (!available) return fail();
  const auto waiting = static_cast<uint16_t>(*available - next_available_);
  if (waiting > size_) return fail();
  if (waiting == 0) return false;
  // The entry was written before the index.
  std::atomic_thread_fence(std::memory_order_acquire);
  const uint64_t slot = next_available_ & (size_ - 1u);
  const auto head = memory.load<uint16_t>(rings_.available + kRingEntries + 2 * slot);
  if (!head) return fail();
  chain.clear(*head);
  if (!collect(memory, features, chain)) return fail();
  ++next_available_;
  return true;
}

void Virtqueue::push(DmaMemory& memory, const VirtqueueChain& chain, uint32_t written) {
  if (!ready_ || broken_) return;
  const uint64_t entry = rings_.used + kRingEntries + 8 * uint64_t{next_used_ & (size_ - 1u)};
  const bool stored =
      memory.store<uint32_t>(entry, chain.head()) && memory.store<uint32_t>(entry + 4, written);
  std::atomic_thread_fence(std::memory_order_release);
  ++next_used_;
  used_unannounced_ = true;
  if (!stored || !memory.store<uint16_t>(rings_.used + kRingIndex, next_used_)) (void)fail();
}

bool Virtqueue::await_more(DmaMemory& memory, Features features) {
  if (!ready_ || broken_) return false;
  if (features.event_index && !memory.store<uint16_t>(available_event(), next_available_)) return fail();
  // The driver writes the index and then looks at the event; we do it the other way round.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto available = memory.load<uint16_t>(rings_.available + kRingIndex);
  if (!available) return fail();
  return *available != next_available_;
}

bool Virtqueue::interrupt_wanted(DmaMemory& memory, Features features) {
  if (!ready_ || broken_ || !used_unannounced_) return false;
  used_unannounced_ = false;
  const uint16_t before = announced_used_;
  announced_used_ = next_used_;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!features.event_index) {
    const auto flags = memory.load<uint16_t>(rings_.available);
    if (!flags) return fail();
    return (*flags & kNoInterrupt) == 0;
  }
  const auto event = memory.load<uint16_t>(used_event());
  if (!event) return fail();
  // "Used Buffer Notification Suppression": when the index has passed the event.
  return static_cast<uint16_t>(next_used_ - *event - 1) < static_cast<uint16_t>(next_used_ - before);
}

void Virtqueue::serialize(StateArchive& archive) {
  archive.section("virtqueue", 1);
  archive.fields(size_, ready_, broken_, used_unannounced_, rings_.descriptors, rings_.available, rings_.used,
                 next_available_, next_used_, announced_used_);
  if (std::has_single_bit(size_) && size_ <= most_ && (!ready_ || broken_ || aligned())) return;
  reset();
  archive.reject("a virtqueue's size or addresses");
}

}  // namespace vitrine::devices
