#include "devices/virtio_balloon.h"

#include <algorithm>
#include <cstring>

#include "memory/host_pages.h"

namespace vitrine::devices {
namespace {

constexpr unsigned kInflate = 0;
constexpr unsigned kDeflate = 1;
// Behind them come those that were negotiated; without statistics and hints all that can be there is
// reporting, which drivers number from here, or leaving gaps.
constexpr unsigned kQueues = 5;

// Configuration.
constexpr unsigned kNumPages = 0;
constexpr unsigned kActual = 4;

// What giving up a page counts for beside moving bytes.
constexpr uint64_t kWorkPerPage = 4096;

}  // namespace

VirtioBalloon::VirtioBalloon(Clock& clock, memory::RamBlock& ram, Options options)
    : VirtioDevice(clock, VirtioId::Balloon, {kQueueSize, kQueueSize, kQueueSize, kQueueSize, kQueueSize}),
      ram_(ram),
      options_(options) {
  static_assert(kQueues == 5);
}

uint64_t VirtioBalloon::device_features() const {
  return (options_.deflate_on_out_of_memory ? kDeflateOnOutOfMemory : 0) |
         (options_.reporting ? kReporting : 0);
}

void VirtioBalloon::fill_config(std::span<uint8_t> config) const {
  std::memcpy(&config[kNumPages], &asked_for_, sizeof asked_for_);
  std::memcpy(&config[kActual], &held_, sizeof held_);
}

void VirtioBalloon::config_written(unsigned offset, uint8_t value) {
  if (offset < kActual || offset >= kActual + sizeof held_) return;
  const unsigned shift = 8 * (offset - kActual);
  held_ = (held_ & ~(0xffu << shift)) | uint32_t{value} << shift;
}

void VirtioBalloon::ask_for(uint32_t pages) {
  if (pages == asked_for_) return;
  asked_for_ = pages;
  config_changed();
}

std::optional<VirtioDevice::Served> VirtioBalloon::handle(unsigned queue, const VirtqueueChain& chain,
                                                          DmaMemory& memory) {
  switch (queue) {
    case kInflate: return inflate(chain, memory);
    // Pages come back by being touched.
    case kDeflate: return Served{};
    default: return accepted(kReporting) ? std::optional(take_reported(chain, memory)) : std::nullopt;
  }
}

std::optional<VirtioDevice::Served> VirtioBalloon::inflate(const VirtqueueChain& chain, DmaMemory& memory) {
  const uint64_t count = chain.readable_size() / sizeof(uint32_t);
  if (count > kMostPages) return std::nullopt;
  pages_.resize(count);
  const std::span<uint8_t> bytes(reinterpret_cast<uint8_t*>(pages_.data()), count * sizeof(uint32_t));
  if (!chain.read(memory, 0, bytes)) return std::nullopt;
  // Neighbours are given up together.
  std::ranges::sort(pages_);
  for (size_t i = 0; i < pages_.size();) {
    size_t next = i + 1;
    while (next < pages_.size() && pages_[next] - pages_[next - 1] <= 1) ++next;
    give_up(memory.map(), pages_[i], uint64_t{pages_[next - 1]} - pages_[i] + 1);
    i = next;
  }
  return Served{0, count * kWorkPerPage};
}

// "Free Page Reporting": the buffers themselves are what is free.
VirtioDevice::Served VirtioBalloon::take_reported(const VirtqueueChain& chain, DmaMemory& memory) {
  uint64_t pages = 0;
  for (const VirtqueueChain::Buffer& buffer : chain.writable()) {
    const uint64_t first = (buffer.address >> kPageShift) + ((buffer.address & kPageMask) != 0 ? 1 : 0);
    const uint64_t end = (buffer.address + buffer.size) >> kPageShift;
    if (end <= first) continue;
    give_up(memory.map(), first, end - first);
    pages += end - first;
  }
  // Large pieces cost less each.
  return {0, pages * kPageSize / 16};
}

void VirtioBalloon::give_up(memory::PhysicalMap& map, uint64_t first, uint64_t pages) {
  const uint64_t end = std::min(first + pages, (memory::PhysicalMap::kAddressMask + 1) >> kPageShift);
  while (first < end) {
    const PhysicalAddress where(first << kPageShift);
    const memory::Region& region = map.find(where);
    const uint64_t run = std::min(end, (region.last.value >> kPageShift) + 1) - first;
    first += run;
    // Where reads and writes differ, or the gate folds addresses, a page may be more than it seems.
    const bool ram = region.write_block == &ram_ && region.read_block == &ram_ &&
                     region.read_offset == region.write_offset;
    if (!ram || !map.a20()) continue;
    const uint64_t page = region.write_page(where);
    for (uint64_t i = 0; i < run; ++i) map.note_write(ram_, page + i);
    const auto given = memory::give_up_pages(ram_, page, run);
    if (!given && report_ && !reported_) report_(given.error());
    reported_ |= !given;
  }
}

void VirtioBalloon::serialize_device(StateArchive& archive) {
  archive.section("virtio-balloon", 1);
  archive.fields(asked_for_, held_);
}

}  // namespace vitrine::devices
