#include "firmware/linux_image.h"

#include <fmt/format.h>
#include <lzma.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "firmware/elf_image.h"

namespace vitrine::firmware {
namespace {

// The set-up header, at 1F1h of the file and of the zero page. Boot protocol, "The Real-Mode Kernel Header".
struct [[gnu::packed]] SetupHeader {
  uint8_t setup_sectors;
  uint16_t root_flags;
  uint32_t system_size;
  uint16_t ram_size;
  uint16_t video_mode;
  uint16_t root_device;
  uint16_t boot_flag;
  uint16_t jump;
  uint32_t signature;
  uint16_t version;
  uint32_t realmode_switch;
  uint16_t start_system_segment;
  uint16_t kernel_version;
  uint8_t loader_type;
  uint8_t load_flags;
  uint16_t setup_move_size;
  uint32_t code32_start;
  uint32_t ramdisk_image;
  uint32_t ramdisk_size;
  uint32_t bootsector_kludge;
  uint16_t heap_end;
  uint8_t extended_loader_version;
  uint8_t extended_loader_type;
  uint32_t command_line;
  uint32_t initrd_address_max;
  uint32_t kernel_alignment;
  uint8_t relocatable;
  uint8_t minimum_alignment;
  uint16_t extended_load_flags;
  uint32_t command_line_size;
  uint32_t hardware_subarch;
  uint64_t hardware_subarch_data;
  uint32_t payload_offset;
  uint32_t payload_length;
  uint64_t setup_data;
  uint64_t preferred_address;
  uint32_t initial_size;
};

constexpr size_t kHeaderOffset = 0x1f1;
constexpr uint32_t kSignature = 0x53726448;  // "HdrS"
constexpr uint8_t kLoadedHigh = 1;
constexpr uint8_t kCanUseHeap = 0x80;
constexpr uint8_t kUndefinedLoader = 0xff;

// Where things go. The set-up code with its stack and heap has the 64 KiB segment at 10000h, the command line
// the bytes behind it; a BIOS leaves both alone, and its extended data area is above 80000h.
constexpr uint32_t kSetupAddress = 0x10000;
constexpr uint32_t kCommandLineAddress = 0x20000;
constexpr uint32_t kCommandLineRoom = 0x10000;
constexpr uint32_t kBootParamsAddress = 0x30000;
constexpr uint32_t kProtectedModeAddress = 0x100000;
// The BIOS keeps its tables at the end of memory.
constexpr uint64_t kFirmwareReserve = 0x40000;

SetupHeader header_of(std::span<const uint8_t> file) {
  SetupHeader header{};
  if (file.size() > kHeaderOffset) {
    std::memcpy(&header, file.data() + kHeaderOffset, std::min(sizeof header, file.size() - kHeaderOffset));
  }
  return header;
}

std::unexpected<Error> not_bootable(std::string why) {
  return std::unexpected(Error{"the kernel given with -kernel cannot be booted", "", 0, std::move(why)});
}

// Places the kernel: the unpacked ELF's segments, or the 32-bit part as it is. Returns the end of the memory
// it needs.
Result<uint64_t> place_kernel(const LinuxBoot& boot, const SharedBytes& system, SetupHeader& header,
                              BootPlan& plan) {
  if (boot.payload == Payload::Unpacked && header.version >= 0x208 && header.payload_length != 0 &&
      header.payload_offset < system.size() &&
      header.payload_length <= system.size() - header.payload_offset) {
    const auto unpacked = unpack_payload(system.part(header.payload_offset, header.payload_length));
    const auto elf = unpacked ? read_elf(*unpacked) : std::unexpected(unpacked.error());
    if (elf && elf->end <= boot.low_memory) {
      plan.chunks = elf->segments;
      plan.linux_entry32 = elf->physical_entry;
      header.code32_start = elf->physical_entry;
      return std::max<uint64_t>(elf->end, header.preferred_address + header.initial_size);
    }
  }
  plan.chunks.push_back({PhysicalAddress(kProtectedModeAddress), system});
  header.code32_start = kProtectedModeAddress;
  uint64_t end = kProtectedModeAddress + system.size();
  if (header.version >= 0x20a) end = std::max<uint64_t>(end, header.preferred_address + header.initial_size);
  return end;
}

// Places the initrd as high as kernel and memory allow.
Result<void> place_initrd(const LinuxBoot& boot, uint64_t kernel_end, SetupHeader& header, BootPlan& plan) {
  if (boot.initrd.empty()) return {};
  const uint64_t kernel_limit =
      header.version >= 0x203 ? uint64_t{header.initrd_address_max} + 1 : 0x38000000;
  const uint64_t top = std::min(boot.low_memory - kFirmwareReserve, kernel_limit);
  const uint64_t size = boot.initrd.size();
  if (top < size || ((top - size) & ~uint64_t{kPageMask}) < kernel_end) {
    const uint64_t needed = (kernel_end + size + kFirmwareReserve + (1 << 20)) >> 20;
    return not_bootable(
        fmt::format("kernel and initrd need {} MiB, the machine has {} MiB: give it more with -m", needed,
                    boot.low_memory >> 20));
  }
  const uint64_t address = (top - size) & ~uint64_t{kPageMask};
  header.ramdisk_image = static_cast<uint32_t>(address);
  header.ramdisk_size = static_cast<uint32_t>(size);
  plan.chunks.push_back({PhysicalAddress(address), boot.initrd});
  return {};
}

}  // namespace

bool is_linux_image(std::span<const uint8_t> file) {
  return header_of(file).signature == kSignature;
}

Result<BootPlan> plan_linux_boot(const LinuxBoot& boot) {
  SetupHeader header = header_of(boot.kernel);
  if (header.signature != kSignature) return not_bootable("it is neither a bzImage nor a multiboot kernel");
  if (header.version < 0x202 || (header.load_flags & kLoadedHigh) == 0) {
    return not_bootable("its boot protocol is older than 2.02 or it is a zImage");
  }
  const size_t setup_size = (header.setup_sectors == 0 ? 5u : header.setup_sectors + 1u) * 512u;
  if (setup_size >= boot.kernel.size())
    return not_bootable("the file is truncated: it ends within its set-up code");
  if (setup_size > 0x8000) return not_bootable("its set-up code is larger than the protocol allows");
  const uint32_t limit =
      header.version >= 0x206 && header.command_line_size != 0 ? header.command_line_size : 255;
  if (boot.command_line.size() > std::min(limit, kCommandLineRoom - 1)) {
    return not_bootable(fmt::format("the command line (-append) has {} characters, the kernel takes {}",
                                    boot.command_line.size(), limit));
  }

  BootPlan plan;
  const SharedBytes system = boot.kernel.part(setup_size, boot.kernel.size() - setup_size);
  if (uint64_t{header.system_size} * 16 > system.size() + 15 && header.version >= 0x204) {
    return not_bootable(fmt::format("the file is truncated: {} bytes of {}", boot.kernel.size(),
                                    setup_size + uint64_t{header.system_size} * 16));
  }
  const uint64_t kernel_end = TRY(place_kernel(boot, system, header, plan));
  if (kernel_end + kFirmwareReserve > boot.low_memory) {
    return not_bootable(fmt::format("it needs {} MiB of memory, the machine has {} MiB: give it more with -m",
                                    (kernel_end + kFirmwareReserve + (1 << 20) - 1) >> 20,
                                    boot.low_memory >> 20));
  }
  TRY(place_initrd(boot, kernel_end, header, plan));

  header.loader_type = kUndefinedLoader;
  header.load_flags |= kCanUseHeap;
  header.heap_end = kCommandLineAddress - kSetupAddress - 0x200;
  header.command_line = kCommandLineAddress;

  std::vector<uint8_t> setup(boot.kernel.begin(), boot.kernel.begin() + static_cast<ptrdiff_t>(setup_size));
  std::memcpy(setup.data() + kHeaderOffset, &header, std::min(sizeof header, setup_size - kHeaderOffset));
  plan.chunks.push_back({PhysicalAddress(kSetupAddress), std::move(setup)});
  std::vector<uint8_t> command_line(boot.command_line.begin(), boot.command_line.end());
  command_line.push_back(0);
  plan.chunks.push_back({PhysicalAddress(kCommandLineAddress), std::move(command_line)});

  plan.protocol = BootProtocol::LinuxRealMode;
  plan.setup_segment = kSetupAddress >> 4;
  plan.stack_pointer = static_cast<uint16_t>(kCommandLineAddress - kSetupAddress - 16);
  plan.boot_params = kBootParamsAddress;
  return plan;
}

namespace {

constexpr size_t kUnpackLimit = size_t{512} << 20;

// Grows `out` for a decoder that has filled it; false at the limit.
bool grow(std::vector<uint8_t>& out) {
  if (out.size() >= kUnpackLimit) return false;
  out.resize(std::min(kUnpackLimit, std::max<size_t>(out.size() * 2, 32 << 20)));
  return true;
}

Result<std::vector<uint8_t>> unpack_lzma(std::span<const uint8_t> payload) {
  const auto damaged =
      std::unexpected(Error{"the kernel's compressed payload is damaged or too large", "xz"});
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_auto_decoder(&stream, uint64_t{256} << 20, 0) != LZMA_OK) return damaged;
  std::vector<uint8_t> out;
  stream.next_in = payload.data();
  stream.avail_in = payload.size();
  lzma_ret status = LZMA_OK;
  size_t done = 0;
  while (status == LZMA_OK) {
    if (done == out.size() && !grow(out)) break;
    stream.next_out = out.data() + done;
    stream.avail_out = out.size() - done;
    status = lzma_code(&stream, LZMA_RUN);
    done = out.size() - stream.avail_out;
  }
  lzma_end(&stream);
  // The kernel appends the unpacked size to the stream; the decoder has stopped before it.
  if (status != LZMA_STREAM_END) return damaged;
  out.resize(done);
  return out;
}

Result<std::vector<uint8_t>> unpack_gzip(std::span<const uint8_t> payload) {
  const auto damaged =
      std::unexpected(Error{"the kernel's compressed payload is damaged or too large", "gzip"});
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) return damaged;
  std::vector<uint8_t> out;
  stream.next_in = const_cast<Bytef*>(payload.data());
  stream.avail_in = static_cast<uInt>(payload.size());
  int status = Z_OK;
  size_t done = 0;
  while (status == Z_OK) {
    if (done == out.size() && !grow(out)) break;
    stream.next_out = out.data() + done;
    stream.avail_out = static_cast<uInt>(out.size() - done);
    status = inflate(&stream, Z_NO_FLUSH);
    done = out.size() - stream.avail_out;
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END) return damaged;
  out.resize(done);
  return out;
}

bool begins_with(std::span<const uint8_t> data, std::initializer_list<uint8_t> magic) {
  return data.size() >= magic.size() && std::equal(magic.begin(), magic.end(), data.begin());
}

}  // namespace

Result<SharedBytes> unpack_payload(const SharedBytes& payload) {
  if (begins_with(payload, {0xfd, '7', 'z', 'X', 'Z', 0}) || begins_with(payload, {0x5d, 0, 0})) {
    return unpack_lzma(payload);
  }
  if (begins_with(payload, {0x1f, 0x8b})) return unpack_gzip(payload);
  if (begins_with(payload, {0x7f, 'E', 'L', 'F'})) return payload;  // Stored.
  return std::unexpected(Error{"the kernel's payload is compressed in a way that is not known here", ""});
}

}  // namespace vitrine::firmware
