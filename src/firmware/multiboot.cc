#include "firmware/multiboot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "firmware/elf_image.h"
#include "firmware/multiboot_layout.h"

namespace vitrine::firmware {
namespace {

constexpr uint32_t kHeaderMagic = 0x1badb002;
constexpr size_t kSearchLimit = 8192;
constexpr uint32_t kUnknownRequirements = 0xfff8;  // Flags 3–15: required, and not known to this loader.
constexpr uint32_t kAddressesValid = 1u << 16;

// In low memory that a BIOS leaves alone and the kernel does not occupy, one behind the other: the option
// ROM's stack, the memory map, the information structure with its strings.
constexpr uint32_t kStackSize = 0x1000;
constexpr uint32_t kMemoryMapLimit = 0x1000;
constexpr uint32_t kInformationLimit = 0x10000;
constexpr uint32_t kHandedOverSize = kStackSize + kMemoryMapLimit + kInformationLimit;
constexpr uint32_t kLowMemoryStart = 0x7000;
constexpr uint32_t kLowMemoryEnd = 0x80000;
// Behind the BIOS: a kernel may lie below the holes, its modules may not lie across them.
constexpr uint64_t kModulesStart = 0x100000;
constexpr uint64_t kFirmwareReserve = 0x40000;

struct Header {
  uint32_t magic, flags, checksum;
  uint32_t header_address, load_address, load_end, bss_end, entry;
};

struct Found {
  Header header;
  size_t offset;
};

std::optional<Found> find_header(std::span<const uint8_t> file) {
  const size_t limit = std::min(file.size(), kSearchLimit);
  for (size_t offset = 0; offset + 12 <= limit; offset += 4) {
    Header header{};
    std::memcpy(&header, file.data() + offset, std::min(sizeof header, file.size() - offset));
    if (header.magic == kHeaderMagic && header.magic + header.flags + header.checksum == 0)
      return Found{header, offset};
  }
  return std::nullopt;
}

std::unexpected<Error> bad_kernel(std::string why) {
  return std::unexpected(
      Error{"the multiboot kernel given with -kernel cannot be booted", "", 0, std::move(why)});
}

// The image by the header's address fields. Returns the first address behind it.
Result<uint64_t> place_by_addresses(const SharedBytes& file, const Found& found, BootPlan& plan) {
  const Header& header = found.header;
  const uint64_t before = uint64_t{header.header_address} - header.load_address;
  if (header.header_address < header.load_address || before > found.offset)
    return bad_kernel("its addresses are damaged");
  const size_t start = found.offset - before;
  size_t size = file.size() - start;
  if (header.load_end != 0) {
    if (header.load_end < header.load_address) return bad_kernel("its addresses are damaged");
    if (header.load_end - header.load_address > size) return bad_kernel("the file is truncated");
    size = header.load_end - header.load_address;
  }
  const uint64_t end = std::max<uint64_t>(uint64_t{header.load_address} + size, header.bss_end);
  if (end - header.load_address > uint64_t{1} << 30) return bad_kernel("its addresses are damaged");
  TRY(add_padded(plan.chunks, PhysicalAddress(header.load_address), file.part(start, size),
                 end - header.load_address));
  plan.entry = header.entry;
  return end;
}

Result<uint32_t> find_low_memory(std::span<const Chunk> kernel) {
  for (uint32_t start = kLowMemoryStart; start + kHandedOverSize <= kLowMemoryEnd; start += kPageSize) {
    const auto overlaps = [start](const Chunk& chunk) {
      const uint64_t end = uint64_t{chunk.address.value} + chunk.data.size();
      return chunk.address.value < start + kHandedOverSize && start < end;
    };
    if (std::ranges::none_of(kernel, overlaps)) return start;
  }
  return bad_kernel("it leaves no room below 512 KiB for what a boot loader hands over");
}

// The structure and everything it points to, as one chunk.
class Information {
 public:
  explicit Information(uint32_t address) : address_(address), bytes_(MULTIBOOT_INFO_SIZE) {}

  void set(uint32_t offset, uint32_t value) { std::memcpy(bytes_.data() + offset, &value, sizeof value); }
  void add_flag(uint32_t flag) { set(MULTIBOOT_INFO_FLAGS, flags_ |= flag); }
  uint32_t add_string(std::string_view text) {
    const uint32_t address = end();
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
    return address;
  }
  uint32_t add_words(std::span<const uint32_t> words) {
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
    const uint32_t address = end();
    const auto* data = reinterpret_cast<const uint8_t*>(words.data());
    bytes_.insert(bytes_.end(), data, data + words.size_bytes());
    return address;
  }
  [[nodiscard]] std::vector<uint8_t> take() { return std::move(bytes_); }
  [[nodiscard]] size_t size() const { return bytes_.size(); }

 private:
  [[nodiscard]] uint32_t end() const { return address_ + static_cast<uint32_t>(bytes_.size()); }

  uint32_t address_;
  std::vector<uint8_t> bytes_;
  uint32_t flags_ = 0;
};

// Modules follow the kernel, each on a page of its own.
Result<void> place_modules(const MultibootBoot& boot, uint64_t kernel_end, Information& information,
                           BootPlan& plan) {
  std::vector<uint32_t> table;
  uint64_t next = std::max(kernel_end, kModulesStart);
  for (const MultibootModule& module : boot.modules) {
    next = (next + kPageMask) & ~uint64_t{kPageMask};
    const uint64_t end = next + module.data.size();
    if (end + kFirmwareReserve > boot.low_memory) {
      return bad_kernel(fmt::format(
          "kernel and modules need {} MiB of memory, the machine has {} MiB: give it more with -m",
          (end + kFirmwareReserve + (1 << 20) - 1) >> 20, boot.low_memory >> 20));
    }
    plan.chunks.push_back({PhysicalAddress(next), module.data});
    table.insert(table.end(), {static_cast<uint32_t>(next), static_cast<uint32_t>(end),
                               information.add_string(module.command_line), 0});
    next = end;
  }
  if (table.empty()) return {};
  information.set(MULTIBOOT_INFO_MODS_COUNT, static_cast<uint32_t>(boot.modules.size()));
  information.set(MULTIBOOT_INFO_MODS_ADDR, information.add_words(table));
  information.add_flag(MULTIBOOT_HAS_MODULES);
  return {};
}

}  // namespace

bool is_multiboot_image(std::span<const uint8_t> file) {
  return find_header(file).has_value();
}

Result<BootPlan> plan_multiboot(const MultibootBoot& boot) {
  const auto found = find_header(boot.kernel);
  if (!found) return bad_kernel("it has no multiboot header");
  if ((found->header.flags & kUnknownRequirements) != 0) {
    return bad_kernel(
        fmt::format("it requires boot loader features that do not exist (flags {:#x})", found->header.flags));
  }
  BootPlan plan;
  plan.protocol = BootProtocol::Multiboot;
  uint64_t end = 0;
  if ((found->header.flags & kAddressesValid) != 0) {
    end = TRY(place_by_addresses(boot.kernel, *found, plan));
  } else {
    ElfImage elf = TRY(read_elf(boot.kernel));
    plan.chunks = std::move(elf.segments);
    plan.entry = elf.physical_entry;
    end = elf.end;
  }
  if (end + kFirmwareReserve > boot.low_memory) {
    return bad_kernel(fmt::format("it needs {} MiB of memory, the machine has {} MiB: give it more with -m",
                                  (end + kFirmwareReserve + (1 << 20) - 1) >> 20, boot.low_memory >> 20));
  }

  const uint32_t low_memory = TRY(find_low_memory(plan.chunks));
  plan.setup_segment = static_cast<uint16_t>(low_memory >> 4);
  plan.stack_pointer = kStackSize;
  plan.memory_map = low_memory + kStackSize;
  plan.memory_map_limit = kMemoryMapLimit;
  plan.information = plan.memory_map + kMemoryMapLimit;
  Information information(plan.information);
  information.set(MULTIBOOT_INFO_CMDLINE, information.add_string(boot.command_line));
  information.add_flag(MULTIBOOT_HAS_CMDLINE);
  information.set(MULTIBOOT_INFO_LOADER_NAME, information.add_string("Vitrine"));
  information.add_flag(MULTIBOOT_HAS_LOADER_NAME);
  TRY(place_modules(boot, end, information, plan));
  if (information.size() > kInformationLimit) return bad_kernel("command lines and modules are too many");
  plan.chunks.push_back({PhysicalAddress(plan.information), information.take()});
  return plan;
}

std::vector<uint8_t> multiboot_memory_map(std::span<const MemoryRange> ranges) {
  struct [[gnu::packed]] Entry {
    uint32_t size;
    uint64_t start, length;
    uint32_t type;
  };
  std::vector<uint8_t> bytes;
  for (const MemoryRange& range : ranges) {
    const Entry entry{20, range.start, range.size, range.type};
    const auto* data = reinterpret_cast<const uint8_t*>(&entry);
    bytes.insert(bytes.end(), data, data + sizeof entry);
  }
  return bytes;
}

}  // namespace vitrine::firmware
