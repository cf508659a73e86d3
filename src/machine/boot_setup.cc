#include "machine/boot_setup.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "firmware/boot_rom.h"
#include "firmware/elf_image.h"
#include "firmware/linux_image.h"
#include "firmware/multiboot.h"

namespace vitrine::machine {
namespace {

constexpr uint64_t kGibibyte4 = uint64_t{1} << 32;
constexpr uint64_t kKernelLimit = uint64_t{1} << 30;
constexpr uint64_t kInitrdLimit = uint64_t{2} << 30;
// Items without a name: a kernel's pieces, which only our option ROM asks for.
constexpr uint16_t kFirstChunkKey = 0x9000;
// Where the firmware's serial console goes.
constexpr uint16_t kFirstSerialPort = 0x3f8;

Error in_file(Error error, const std::string& name) {
  if (error.object.empty()) error.object = name;
  return error;
}

// Kernels have megabytes: in large pages, if the host has them, most faults are saved.
Result<Mapping> make_room(uint64_t size) {
  Mapping room =
      TRY(Mapping::create(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  (void)::madvise(room.data(), room.size(), MADV_HUGEPAGE);
  return room;
}

template <typename T>
std::vector<uint8_t> bytes_of(T value) {
  std::vector<uint8_t> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

}  // namespace

Result<SharedBytes> read_whole(const Descriptor& file, const std::string& name, uint64_t limit) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return std::unexpected(error_from_errno("cannot read", name));
  // One byte more than a regular file has: so its end is seen at once.
  constexpr uint64_t kFirstRoom = 1 << 20;
  const uint64_t expected = S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : kFirstRoom;
  Mapping room = TRY(make_room(std::min(expected, limit) + 1));
  size_t done = 0;
  for (;;) {
    if (done == room.size()) {
      if (done > limit) {
        return std::unexpected(
            Error{"the file is too large", name, 0, fmt::format("at most {} MiB are possible", limit >> 20)});
      }
      Mapping larger = TRY(make_room(std::min<uint64_t>(2 * uint64_t{done}, limit) + 1));
      std::memcpy(larger.data(), room.data(), done);
      room = std::move(larger);
    }
    const ssize_t got = ::read(file.get(), room.data() + done, room.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(error_from_errno("cannot read", name));
    if (got == 0) return SharedBytes(std::move(room), done);
    done += static_cast<size_t>(got);
  }
}

Result<std::unique_ptr<memory::RamBlock>> load_rom(const RomFile& rom, uint64_t limit) {
  const SharedBytes image = TRY(read_whole(rom.file, rom.name, limit));
  if (image.empty()) return std::unexpected(Error{"the ROM image is empty", rom.name});
  auto block = TRY(memory::RamBlock::create("rom", image.size()));
  std::memset(block->data(), 0xff, block->size());
  std::memcpy(block->data() + (block->size() - image.size()), image.data(), image.size());
  return block;
}

std::vector<firmware::MemoryRange> memory_ranges(const MemorySizes& sizes) {
  constexpr uint64_t kBaseEnd = 0x9fc00;
  constexpr uint64_t kHighStart = 0x100000;
  std::vector<firmware::MemoryRange> ranges = {{0, kBaseEnd, 1},
                                               {kBaseEnd, 0xa0000 - kBaseEnd, 2},
                                               {0xf0000, 0x10000, 2},
                                               {kHighStart, sizes.below_4g - kHighStart, 1}};
  if (sizes.above_4g != 0) ranges.push_back({kGibibyte4, sizes.above_4g, 1});
  return ranges;
}

Result<std::optional<firmware::BootPlan>> plan_boot(const MachineConfig& config, const MemorySizes& sizes) {
  if (!config.kernel) return std::nullopt;
  const KernelConfig& kernel = *config.kernel;
  const SharedBytes image = TRY(read_whole(kernel.file, kernel.name, kKernelLimit));
  std::vector<SharedBytes> modules;
  modules.reserve(kernel.modules.size());
  for (const BootModule& module : kernel.modules) {
    modules.push_back(TRY(read_whole(module.file, module.name, kInitrdLimit)));
  }

  if (firmware::is_linux_image(image)) {
    if (modules.size() > 1) {
      return std::unexpected(
          Error{"a Linux kernel takes one initrd", kernel.modules[1].name, 0,
                "several modules are for multiboot kernels; concatenate cpio archives into one file"});
    }
    auto plan = firmware::plan_linux_boot(
        {.kernel = image,
         .initrd = modules.empty() ? SharedBytes() : modules[0],
         .command_line = kernel.command_line,
         .low_memory = sizes.below_4g,
         .payload = config.unpack_kernel ? firmware::Payload::Unpacked : firmware::Payload::AsShipped});
    if (!plan) return std::unexpected(in_file(std::move(plan).error(), kernel.name));
    return std::optional(std::move(*plan));
  }
  if (firmware::is_multiboot_image(image)) {
    std::string command_line = kernel.name;
    if (!kernel.command_line.empty()) command_line += " " + kernel.command_line;
    firmware::MultibootBoot boot{
        .kernel = image, .command_line = command_line, .modules = {}, .low_memory = sizes.below_4g};
    for (size_t i = 0; i < modules.size(); ++i)
      boot.modules.push_back({modules[i], kernel.modules[i].command_line});
    auto plan = firmware::plan_multiboot(boot);
    if (!plan) return std::unexpected(in_file(std::move(plan).error(), kernel.name));
    return std::optional(std::move(*plan));
  }
  if (firmware::is_elf(image) && image[EI_CLASS] == ELFCLASS64) {
    // What it is, the reader says best.
    return std::unexpected(in_file(firmware::read_elf(image).error(), kernel.name));
  }
  const std::string what = firmware::is_elf(image)
                               ? "it is an ELF file without a multiboot header: give the bzImage of a Linux "
                                 "kernel (arch/x86/boot/bzImage, not vmlinux)"
                               : "it is neither a bzImage nor a multiboot kernel; a disk image goes to -hda";
  return std::unexpected(Error{"the kernel given with -kernel cannot be booted", kernel.name, 0, what});
}

namespace {

Result<void> add_boot_rom(devices::FwCfg& fw_cfg, firmware::BootPlan& plan) {
  std::vector<uint16_t> selectors(plan.chunks.size());
  std::iota(selectors.begin(), selectors.end(), kFirstChunkKey);
  std::vector<uint8_t> rom = TRY(firmware::make_boot_rom(plan, selectors));
  for (size_t i = 0; i < plan.chunks.size(); ++i)
    fw_cfg.add_item(selectors[i], std::move(plan.chunks[i].data));
  TRY(fw_cfg.add_file(firmware::kBootRomFile, std::move(rom)));
  const std::string order[] = {firmware::kBootRomBootOrder};
  return fw_cfg.set_boot_order(order);
}

}  // namespace

Result<void> fill_fw_cfg(devices::FwCfg& fw_cfg, MachineConfig& config, const MemorySizes& sizes,
                         std::optional<firmware::BootPlan> plan) {
  std::vector<devices::FwCfg::MemoryRange> ranges = {{0, sizes.below_4g, 1}};
  if (sizes.above_4g != 0) ranges.push_back({kGibibyte4, sizes.above_4g, 1});
  fw_cfg.set_memory(sizes.below_4g, ranges);
  fw_cfg.set_processors(static_cast<uint16_t>(config.cpus), static_cast<uint16_t>(config.cpus));
  fw_cfg.set_boot_menu(config.boot.menu ? 1 : 0);
  fw_cfg.set_irq0_override(1);
  fw_cfg.set_system_states();
  // SeaBIOS takes this file's presence as the sign of a machine whose power management ports are at 600h,
  // where guests that know QEMU's `pc` expect them; since it is empty, it makes its own ACPI tables for that
  // place.
  TRY(fw_cfg.add_file("etc/table-loader", {}));
  if (config.boot.menu_wait_ms != 0) {
    TRY(fw_cfg.add_file("etc/boot-menu-wait", bytes_of<uint64_t>(config.boot.menu_wait_ms)));
  }
  if (config.firmware_on_serial)
    TRY(fw_cfg.add_file("etc/sercon-port", bytes_of<uint64_t>(kFirstSerialPort)));
  for (FirmwareConfigFile& file : config.firmware_files)
    TRY(fw_cfg.add_file(file.name, std::move(file.contents)));
  if (plan) return add_boot_rom(fw_cfg, *plan);
  if (config.boot.strict) {
    const std::string order[] = {"HALT"};
    return fw_cfg.set_boot_order(order);
  }
  return {};
}

}  // namespace vitrine::machine
