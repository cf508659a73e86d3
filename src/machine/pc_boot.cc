// The part of the PC that firmware and kernels look at first: ROMs, CMOS, the firmware configuration device.
#include <algorithm>
#include <cstring>

#include "machine/boot_setup.h"
#include "machine/pc.h"

namespace vitrine::machine {
namespace {

constexpr uint64_t kMebibyte = uint64_t{1} << 20;
constexpr unsigned kSlotVga = 2;  // as QEMU's `pc` has it

// CMOS bytes that PC firmware reads. PC AT technical reference, "Real-Time Clock/CMOS RAM"; those from 30h on
// as SeaBIOS documents them in src/hw/rtc.h.
enum Cmos : uint8_t {
  kCmosFloppyTypes = 0x10,
  kCmosDiskTypes = 0x12,
  kCmosEquipment = 0x14,
  kCmosBaseMemory = 0x15,
  kCmosExtendedMemory = 0x17,
  kCmosDisk0Type = 0x19,
  kCmosDisk1Type = 0x1a,
  kCmosExtendedMemoryAgain = 0x30,
  kCmosMemoryAbove16M = 0x34,
  kCmosBootOrderLow = 0x38,
  kCmosDiskTranslation = 0x39,
  kCmosBootOrderHigh = 0x3d,
  kCmosMemoryAbove4G = 0x5b,
  kCmosProcessors = 0x5f,
};

// What SeaBIOS understands in the boot order nibbles.
uint8_t boot_code(char device) {
  switch (device) {
    case 'a':
    case 'b': return 1;
    case 'c': return 2;
    case 'd': return 3;
    case 'n': return 4;
    default: return 0;
  }
}

}  // namespace

void Pc::set_cmos16(unsigned index, uint64_t value) {
  const auto limited = static_cast<uint16_t>(std::min<uint64_t>(value, 0xffff));
  rtc_->set_cmos(index, static_cast<uint8_t>(limited));
  rtc_->set_cmos(index + 1, static_cast<uint8_t>(limited >> 8));
}

void Pc::set_boot_order(const std::string& order) {
  uint8_t codes[3] = {};
  unsigned count = 0;
  for (const char device : order) {
    const uint8_t code = boot_code(device);
    if (code != 0 && count < 3) codes[count++] = code;
  }
  // Bit 0 of the first: the firmware does not insist on a boot sector's signature on diskettes.
  rtc_->set_cmos(kCmosBootOrderLow, static_cast<uint8_t>(codes[2] << 4 | 1));
  rtc_->set_cmos(kCmosBootOrderHigh, static_cast<uint8_t>(codes[1] << 4 | codes[0]));
}

void Pc::fill_cmos(const MachineConfig& config) {
  const MemorySizes sizes = memory_sizes();
  set_cmos16(kCmosBaseMemory, 640);
  const uint64_t extended = (sizes.below_4g - kMebibyte) >> 10;
  set_cmos16(kCmosExtendedMemory, extended);
  set_cmos16(kCmosExtendedMemoryAgain, extended);
  set_cmos16(kCmosMemoryAbove16M,
             sizes.below_4g > 16 * kMebibyte ? (sizes.below_4g - 16 * kMebibyte) >> 16 : 0);
  const uint64_t above = sizes.above_4g >> 16;
  for (unsigned i = 0; i < 3; ++i)
    rtc_->set_cmos(kCmosMemoryAbove4G + i, static_cast<uint8_t>(above >> (8 * i)));
  rtc_->set_cmos(kCmosProcessors, static_cast<uint8_t>(config.cpus - 1));

  uint8_t types = 0;
  unsigned drives = 0;
  for (unsigned i = 0; i < devices::FloppyController::kDrives; ++i) {
    const auto type = static_cast<uint8_t>(floppy_->drive(i).type());
    types = static_cast<uint8_t>(types | type << (i == 0 ? 4 : 0));
    if (type != 0) ++drives;
  }
  rtc_->set_cmos(kCmosFloppyTypes, types);
  constexpr uint8_t kHasFpu = 0x02;
  constexpr uint8_t kHasMouse = 0x04;
  const uint8_t floppies = drives == 0 ? 0 : static_cast<uint8_t>(1 | (drives - 1) << 6);
  rtc_->set_cmos(kCmosEquipment, kHasFpu | kHasMouse | floppies);
  set_boot_order(config.boot.once.value_or(config.boot.order));
}

MemorySizes Pc::memory_sizes() const {
  if (i440fx_) return {i440fx_->below_4g(), i440fx_->above_4g()};
  return {ram_->size(), 0};
}

Result<void> Pc::make_display(const MachineConfig& config) {
  if (config.vga == VgaKind::None) return {};
  std::unique_ptr<memory::RamBlock> rom;
  if (config.vga_bios.file.valid()) {
    constexpr uint64_t kVgaBiosLimit = 0x10000;
    const SharedBytes image = TRY(read_whole(config.vga_bios.file, config.vga_bios.name, kVgaBiosLimit));
    // A base address register's size is a power of two.
    uint64_t size = kPageSize;
    while (size < image.size()) size *= 2;
    rom = TRY(memory::RamBlock::create("vga-rom", size));
    std::memset(rom->data(), 0xff, size);
    std::memcpy(rom->data(), image.data(), image.size());
  }
  vga_rom_ = std::move(rom);
  constexpr uint64_t kVideoMemory = 16 * kMebibyte;
  video_memory_ = TRY(memory::RamBlock::create("vga", kVideoMemory));
  vga_ = std::make_unique<devices::Vga>(host_.clock, ports_, memory_, *video_memory_);
  if (pci_) {
    vga_pci_ = std::make_unique<devices::VgaPci>(*vga_, vga_rom_.get());
    pci_->attach(*vga_pci_, kSlotVga);
  }
  return {};
}

Result<void> Pc::prepare_boot(MachineConfig& config) {
  const MemorySizes sizes = memory_sizes();
  auto plan = TRY(plan_boot(config, sizes));
  if (plan && !bios_rom_) {
    direct_entry_ = TRY(firmware::make_direct_entry(std::move(*plan), memory_ranges(sizes)));
    plan.reset();
  }
  if (!plan && !bios_rom_ && !direct_entry_) {
    return std::unexpected(Error{"there is nothing to start", "-bios none", 0,
                                 "give a kernel with -kernel, or leave out -bios"});
  }
  boot_order_ = config.boot.order;
  fw_cfg_ = std::make_unique<devices::FwCfg>(ports_, memory_);
  return fill_fw_cfg(*fw_cfg_, config, sizes, std::move(plan));
}

}  // namespace vitrine::machine
