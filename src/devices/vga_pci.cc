#include "devices/vga_pci.h"

namespace vitrine::devices {
namespace {

constexpr uint64_t kRegistersSize = 0x1000;
constexpr uint64_t kVgaPorts = 0x400;
constexpr uint64_t kVgaPortsEnd = 0x420;
constexpr uint64_t kVbeRegisters = 0x500;
constexpr uint64_t kVbeRegistersEnd = kVbeRegisters + 2 * kVbeCount;
constexpr uint64_t kExtensionSize = 0x600;
constexpr uint64_t kByteOrder = 0x604;
constexpr uint32_t kLittleEndian = 0x1e1e1e1e;

}  // namespace

VgaPci::VgaPci(Vga& vga, memory::RamBlock* rom)
    : PciDevice({.vendor = 0x1234,
                 .device = 0x1111,
                 .class_code = 0x030000,
                 .revision = 2,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}),
      vga_(vga) {
  define_ram_bar(0, vga.video_memory());
  define_memory_bar(2, kRegistersSize, *this);
  if (rom != nullptr) define_rom_bar(*rom);
  set_write_mask16(pci::kCommand, pci::kCommandIo | pci::kCommandMemory | pci::kCommandMaster);
}

uint64_t VgaPci::read_memory(uint64_t offset, unsigned size) {
  if (offset >= kVgaPorts && offset + size <= kVgaPortsEnd) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
      const auto port = static_cast<uint16_t>(0x3c0 + (offset - kVgaPorts) + i);
      value |= uint64_t{vga_.read_port(port, 1) & 0xff} << (8 * i);
    }
    return value;
  }
  if (offset >= kVbeRegisters && offset + size <= kVbeRegistersEnd && (offset & 1) == 0) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i += 2) {
      value |= uint64_t{vga_.read_vbe(static_cast<uint16_t>((offset + i - kVbeRegisters) / 2))} << (8 * i);
    }
    return value;
  }
  if (offset == kExtensionSize && size == 4) return 8;
  if (offset == kByteOrder && size == 4) return kLittleEndian;
  return 0;
}

void VgaPci::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  if (offset >= kVgaPorts && offset + size <= kVgaPortsEnd) {
    for (unsigned i = 0; i < size; ++i) {
      const auto port = static_cast<uint16_t>(0x3c0 + (offset - kVgaPorts) + i);
      vga_.write_port(port, 1, static_cast<uint8_t>(value >> (8 * i)));
    }
  } else if (offset >= kVbeRegisters && offset + size <= kVbeRegistersEnd && (offset & 1) == 0 && size >= 2) {
    for (unsigned i = 0; i < size; i += 2) {
      vga_.write_vbe(static_cast<uint16_t>((offset + i - kVbeRegisters) / 2),
                     static_cast<uint16_t>(value >> (8 * i)));
    }
  }
}

}  // namespace vitrine::devices
