#include "firmware/direct_boot.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "firmware/multiboot_layout.h"

namespace vitrine::firmware {
namespace {

constexpr uint32_t kGdtAddress = 0x7000;
// Null, unused, code at 10h, data at 18h: what the boot protocol wants.
constexpr uint64_t kGdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};

// Offsets in the zero page. Linux boot protocol, "Zero Page".
constexpr size_t kZeroPageSize = 4096;
constexpr size_t kZeroE820Count = 0x1e8;
constexpr size_t kZeroHeader = 0x1f1;
constexpr size_t kZeroE820 = 0x2d0;
constexpr size_t kZeroE820Limit = 128;
constexpr size_t kZeroVideoMode = 0x06;
constexpr size_t kZeroVideoColumns = 0x07;
constexpr size_t kZeroVideoLines = 0x0e;
constexpr size_t kZeroVideoIsVga = 0x0f;
constexpr size_t kZeroFontHeight = 0x10;

Chunk* find_chunk(BootPlan& plan, uint32_t address) {
  const auto it = std::ranges::find(plan.chunks, PhysicalAddress(address), &Chunk::address);
  return it == plan.chunks.end() ? nullptr : &*it;
}

void put32(std::vector<uint8_t>& bytes, size_t offset, uint32_t value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

std::vector<uint8_t> make_zero_page(std::span<const uint8_t> setup, std::span<const MemoryRange> ranges) {
  std::vector<uint8_t> page(kZeroPageSize);
  const size_t header_end = std::min<size_t>({0x202u + setup[0x201], setup.size(), kZeroE820});
  std::copy(setup.begin() + kZeroHeader, setup.begin() + static_cast<ptrdiff_t>(header_end),
            page.begin() + kZeroHeader);
  page[kZeroVideoMode] = 3;
  page[kZeroVideoColumns] = 80;
  page[kZeroVideoLines] = 25;
  page[kZeroVideoIsVga] = 1;
  page[kZeroFontHeight] = 16;
  size_t count = 0;
  for (const MemoryRange& range : ranges) {
    if (count == kZeroE820Limit) break;
    uint8_t* entry = page.data() + kZeroE820 + 20 * count++;
    std::memcpy(entry, &range.start, 8);
    std::memcpy(entry + 8, &range.size, 8);
    std::memcpy(entry + 16, &range.type, 4);
  }
  page[kZeroE820Count] = static_cast<uint8_t>(count);
  return page;
}

Result<void> enter_linux(BootPlan& plan, std::span<const MemoryRange> ranges, DirectEntry& entry) {
  if (plan.linux_entry32 == 0) {
    return std::unexpected(Error{"this kernel cannot be booted without a BIOS", "", 0,
                                 "its payload could not be unpacked; leave out '-bios none'"});
  }
  const Chunk* setup = find_chunk(plan, uint32_t{plan.setup_segment} << 4);
  CHECK(setup != nullptr && setup->data.size() > 0x202);
  plan.chunks.push_back({PhysicalAddress(plan.boot_params), make_zero_page(setup->data, ranges)});
  entry.eip = plan.linux_entry32;
  entry.esi = plan.boot_params;
  return {};
}

void enter_multiboot(BootPlan& plan, std::span<const MemoryRange> ranges, DirectEntry& entry) {
  std::vector<uint8_t> map = multiboot_memory_map(ranges);
  map.resize(std::min<size_t>(map.size(), plan.memory_map_limit));
  Chunk* chunk = find_chunk(plan, plan.information);
  CHECK(chunk != nullptr && chunk->data.size() >= MULTIBOOT_INFO_SIZE);
  std::vector<uint8_t> information(chunk->data.begin(), chunk->data.end());
  uint32_t flags = 0;
  std::memcpy(&flags, information.data() + MULTIBOOT_INFO_FLAGS, sizeof flags);
  put32(information, MULTIBOOT_INFO_FLAGS, flags | MULTIBOOT_HAS_MEMORY | MULTIBOOT_HAS_MMAP);
  for (const MemoryRange& range : ranges) {
    if (range.type != 1) continue;
    const auto kib = static_cast<uint32_t>(std::min<uint64_t>(range.size >> 10, 0x3fffff));
    if (range.start == 0) put32(information, MULTIBOOT_INFO_MEM_LOWER, kib);
    if (range.start == 0x100000) put32(information, MULTIBOOT_INFO_MEM_UPPER, kib);
  }
  put32(information, MULTIBOOT_INFO_MMAP_ADDR, plan.memory_map);
  put32(information, MULTIBOOT_INFO_MMAP_LENGTH, static_cast<uint32_t>(map.size()));
  chunk->data = std::move(information);
  plan.chunks.push_back({PhysicalAddress(plan.memory_map), std::move(map)});
  entry.eip = plan.entry;
  entry.eax = MULTIBOOT_LOADER_MAGIC;
  entry.ebx = plan.information;
}

}  // namespace

Result<DirectEntry> make_direct_entry(BootPlan plan, std::span<const MemoryRange> ranges) {
  DirectEntry entry;
  if (plan.protocol == BootProtocol::LinuxRealMode) {
    TRY(enter_linux(plan, ranges, entry));
  } else {
    enter_multiboot(plan, ranges, entry);
  }
  const auto* gdt = reinterpret_cast<const uint8_t*>(kGdt);
  plan.chunks.push_back({PhysicalAddress(kGdtAddress), std::vector<uint8_t>(gdt, gdt + sizeof kGdt)});
  entry.gdt = kGdtAddress;
  entry.gdt_size = sizeof kGdt;
  entry.chunks = std::move(plan.chunks);
  return entry;
}

}  // namespace vitrine::firmware
