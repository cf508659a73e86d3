#include "devices/pci_device.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "devices/map_priorities.h"
#include "devices/pci_bus.h"

namespace vitrine::devices {
namespace {

constexpr unsigned bar_offset(unsigned index) {
  return index == PciDevice::kRomBar ? pci::kRomAddress : pci::kBar0 + 4 * index;
}

constexpr uint32_t kBarIo = 1;
constexpr uint32_t kBarMemory64 = 4;
constexpr uint32_t kBarPrefetch = 8;
constexpr uint32_t kRomEnable = 1;

}  // namespace

PciDevice::PciDevice(const PciIdentity& identity, PciFunctions functions) {
  set_config16(pci::kVendorId, identity.vendor);
  set_config16(pci::kDeviceId, identity.device);
  set_config32(pci::kRevision, identity.class_code << 8 | identity.revision);
  set_config16(pci::kSubsystemVendorId, identity.subsystem_vendor);
  set_config16(pci::kSubsystemId, identity.subsystem);
  set_config8(pci::kInterruptPin, identity.interrupt_pin);
  set_config8(pci::kHeaderType, functions == PciFunctions::Multiple ? 0x80 : 0);

  set_write_mask16(pci::kCommand, pci::kCommandMaster | pci::kCommandParity | pci::kCommandSerr |
                                      pci::kCommandInterruptDisable);
  set_write_mask8(pci::kCacheLineSize, 0xff);
  set_write_mask8(pci::kLatencyTimer, 0xff);
  if (identity.interrupt_pin != 0) set_write_mask8(pci::kInterruptLine, 0xff);
}

PciDevice::~PciDevice() {
  if (bus_ != nullptr) bus_->detach(*this);
}

uint16_t PciDevice::config16(unsigned offset) const {
  return static_cast<uint16_t>(config_[offset] | config_[offset + 1] << 8);
}

uint32_t PciDevice::config32(unsigned offset) const {
  return config16(offset) | static_cast<uint32_t>(config16(offset + 2)) << 16;
}

void PciDevice::set_config16(unsigned offset, uint16_t value) {
  std::memcpy(&config_[offset], &value, 2);
}
void PciDevice::set_config32(unsigned offset, uint32_t value) {
  std::memcpy(&config_[offset], &value, 4);
}
void PciDevice::set_write_mask16(unsigned offset, uint16_t mask) {
  std::memcpy(&write_mask_[offset], &mask, 2);
}
void PciDevice::set_write_mask32(unsigned offset, uint32_t mask) {
  std::memcpy(&write_mask_[offset], &mask, 4);
}

uint32_t PciDevice::read_config(unsigned offset, unsigned size) {
  CHECK(offset + size <= kConfigSize);
  uint32_t value = 0;
  std::memcpy(&value, &config_[offset], size);
  return value;
}

void PciDevice::write_config(unsigned offset, unsigned size, uint32_t value) {
  CHECK(offset + size <= kConfigSize);
  const uint16_t old_command = command();
  for (unsigned i = 0; i < size; ++i) {
    const auto byte = static_cast<uint8_t>(value >> (8 * i));
    const unsigned at = offset + i;
    config_[at] = static_cast<uint8_t>((config_[at] & ~write_mask_[at]) | (byte & write_mask_[at]));
    // PCI 2.2, "Device Status": error bits are cleared by writing ones; they all lie in the upper byte.
    if (at == pci::kStatus + 1) config_[at] &= static_cast<uint8_t>(~(byte & (pci::kStatusErrors >> 8)));
  }
  update_bars();
  if (command() != old_command) {
    update_interrupt();
    command_changed(command());
  }
  config_written(offset, size);
}

void PciDevice::reset() {
  // Bits that the chip has hardwired to one stay.
  config_[pci::kCommand] &= static_cast<uint8_t>(~write_mask_[pci::kCommand]);
  config_[pci::kCommand + 1] &= static_cast<uint8_t>(~write_mask_[pci::kCommand + 1]);
  set_config8(pci::kCacheLineSize, 0);
  set_config8(pci::kLatencyTimer, 0);
  set_config8(pci::kInterruptLine, 0);
  config_[pci::kStatus + 1] &= static_cast<uint8_t>(~(pci::kStatusErrors >> 8));
  for (unsigned index = 0; index < bars_.size(); ++index) {
    if (bars_[index].kind == BarKind::None) continue;
    const unsigned at = bar_offset(index);
    const unsigned bytes = bars_[index].width == BarWidth::Bits64 ? 8 : 4;
    for (unsigned i = at; i < at + bytes; ++i) config_[i] &= static_cast<uint8_t>(~write_mask_[i]);
  }
  update_bars();
  set_interrupt(false);
  reset_device();
}

void PciDevice::serialize(StateArchive& archive) {
  archive.section("pci-device", 1);
  std::array<uint8_t, kConfigSize> saved = config_;
  archive.bytes(saved);
  archive.field(interrupt_level_);
  if (archive.loading()) {
    // Only what the guest could have written, or the chip could have reported, comes from the archive.
    for (unsigned i = 0; i < kConfigSize; ++i) {
      config_[i] = static_cast<uint8_t>((config_[i] & ~write_mask_[i]) | (saved[i] & write_mask_[i]));
    }
    update_bars();
    update_interrupt();
  }
  serialize_device(archive);
}

void PciDevice::define_bar(unsigned index, const Bar& bar, uint32_t type_bits) {
  CHECK(index <= kRomBar && bars_[index].kind == BarKind::None, "base address register {}", index);
  CHECK(std::has_single_bit(bar.size), "base address register {} of {:#x} bytes", index, bar.size);
  CHECK(bar.kind == BarKind::Io ? bar.size >= 4 && bar.size <= 0x10000 : bar.size >= kPageSize);
  CHECK(bar.width == BarWidth::Bits64 ? index < 5 : bar.size <= 0x80000000);
  bars_[index] = bar;
  const unsigned at = bar_offset(index);
  const uint64_t mask = ~(bar.size - 1);
  set_config32(at, type_bits);
  set_write_mask32(at, static_cast<uint32_t>(mask));
  if (bar.width == BarWidth::Bits64) set_write_mask32(at + 4, static_cast<uint32_t>(mask >> 32));
  if (bar.kind == BarKind::Rom) write_mask_[at] |= kRomEnable;
  const uint16_t enable = bar.kind == BarKind::Io ? pci::kCommandIo : pci::kCommandMemory;
  write_mask_[pci::kCommand] |= static_cast<uint8_t>(enable);
}

void PciDevice::define_io_bar(unsigned index, uint32_t size, memory::PortDevice& device,
                              memory::PortWidth width) {
  Bar bar;
  bar.kind = BarKind::Io;
  bar.size = size;
  bar.ports = &device;
  bar.port_width = width;
  define_bar(index, bar, kBarIo);
}

void PciDevice::define_memory_bar(unsigned index, uint64_t size, memory::MemoryDevice& device,
                                  uint64_t offset, Prefetch prefetch, BarWidth width) {
  Bar bar;
  bar.kind = BarKind::Memory;
  bar.width = width;
  bar.size = size;
  bar.placement = memory::Placement::mmio(PhysicalAddress(0), size, device, offset, kPriorityPci);
  define_bar(index, bar,
             (prefetch == Prefetch::Yes ? kBarPrefetch : 0) | (width == BarWidth::Bits64 ? kBarMemory64 : 0));
}

void PciDevice::define_ram_bar(unsigned index, memory::RamBlock& block, Prefetch prefetch, BarWidth width) {
  Bar bar;
  bar.kind = BarKind::Memory;
  bar.width = width;
  bar.size = block.size();
  bar.placement = memory::Placement::ram(PhysicalAddress(0), block.size(), block, 0, kPriorityPci);
  define_bar(index, bar,
             (prefetch == Prefetch::Yes ? kBarPrefetch : 0) | (width == BarWidth::Bits64 ? kBarMemory64 : 0));
}

void PciDevice::define_rom_bar(memory::RamBlock& block) {
  Bar bar;
  bar.kind = BarKind::Rom;
  bar.size = block.size();
  bar.placement = memory::Placement::rom(PhysicalAddress(0), block.size(), block, 0, kPriorityPci);
  define_bar(kRomBar, bar, 0);
}

unsigned PciDevice::add_capability(uint8_t id, unsigned size) {
  const unsigned at = capability_end_;
  CHECK(size >= 2 && at + size <= kConfigSize - 4, "no room for capability {:#x}", id);
  set_config8(at, id);
  set_config8(at + 1, 0);
  set_config8(last_capability_ == 0 ? pci::kCapabilities : last_capability_ + 1u, static_cast<uint8_t>(at));
  config_[pci::kStatus] |= pci::kStatusCapabilities;
  last_capability_ = static_cast<uint8_t>(at);
  // PCI 2.2, "Capabilities List": pointers are dword aligned.
  capability_end_ = static_cast<uint8_t>((at + size + 3) & ~3u);
  return at;
}

// Where the guest's registers put the range, if anywhere. A range at address zero or one that reaches the
// very end of its space is taken for a register being sized, or not yet programmed, and answers nowhere.
std::optional<uint64_t> PciDevice::wanted_address(unsigned index) const {
  const Bar& bar = bars_[index];
  const unsigned at = bar_offset(index);
  uint64_t address = config32(at) & ~static_cast<uint32_t>(bar.size - 1);
  uint64_t space = uint64_t{1} << 32;
  switch (bar.kind) {
    case BarKind::None: return std::nullopt;
    case BarKind::Io:
      if ((command() & pci::kCommandIo) == 0) return std::nullopt;
      space = 0x10000;
      break;
    case BarKind::Rom:
      if ((config_[at] & kRomEnable) == 0) return std::nullopt;
      [[fallthrough]];
    case BarKind::Memory:
      if ((command() & pci::kCommandMemory) == 0) return std::nullopt;
      if (bar.width == BarWidth::Bits64) {
        address = (address | static_cast<uint64_t>(config32(at + 4)) << 32) & ~(bar.size - 1);
        if (address >> 32 != 0) space = memory::PhysicalMap::kAddressMask + 1;
      }
      break;
  }
  if (address == 0 || bar.size >= space || address >= space - bar.size) return std::nullopt;
  return address;
}

void PciDevice::map_bar(Bar& bar, uint64_t address) {
  if (bar.kind == BarKind::Io) {
    bus_->ports().map(static_cast<uint16_t>(address), static_cast<unsigned>(bar.size), *bar.ports,
                      bar.port_width);
  } else {
    bar.placement.start = PhysicalAddress(address);
    bar.placed = bus_->memory().add(bar.placement);
  }
  bar.mapped = address;
}

void PciDevice::unmap_bar(Bar& bar) {
  if (bar.kind == BarKind::Io) {
    bus_->ports().unmap(static_cast<uint16_t>(*bar.mapped), static_cast<unsigned>(bar.size), *bar.ports);
  } else {
    bus_->memory().remove(bar.placed);
  }
  bar.mapped.reset();
}

void PciDevice::update_bars() {
  if (bus_ == nullptr) return;
  for (unsigned index = 0; index < bars_.size(); ++index) {
    Bar& bar = bars_[index];
    const std::optional<uint64_t> wanted = wanted_address(index);
    if (wanted == bar.mapped) continue;
    if (bar.mapped) unmap_bar(bar);
    if (wanted) map_bar(bar, *wanted);
    bar_changed(index, wanted);
  }
}

void PciDevice::attach(PciBus& bus, uint8_t position) {
  bus_ = &bus;
  position_ = position;
  update_bars();
  update_interrupt();
}

void PciDevice::detach() {
  for (Bar& bar : bars_) {
    if (bar.mapped) unmap_bar(bar);
  }
  interrupt_driven_ = false;
  bus_ = nullptr;
}

void PciDevice::set_interrupt(bool level) {
  interrupt_level_ = level;
  update_interrupt();
}

void PciDevice::update_interrupt() {
  // PCI 2.3, "Interrupt Status": the bit shows the request whether or not the pin is disabled.
  config_[pci::kStatus] = static_cast<uint8_t>((config_[pci::kStatus] & ~pci::kStatusInterrupt) |
                                               (interrupt_level_ ? pci::kStatusInterrupt : 0));
  const bool driven = interrupt_level_ && (command() & pci::kCommandInterruptDisable) == 0;
  if (driven == interrupt_driven_) return;
  interrupt_driven_ = driven;
  if (bus_ != nullptr) bus_->interrupt_changed(*this);
}

bool PciDevice::dma_read(PhysicalAddress address, std::span<uint8_t> data) {
  if (bus_ == nullptr || !bus_master_enabled()) return false;
  bus_->memory().read(address, data);
  return true;
}

bool PciDevice::dma_write(PhysicalAddress address, std::span<const uint8_t> data) {
  if (bus_ == nullptr || !bus_master_enabled()) return false;
  bus_->memory().write(address, data);
  return true;
}

}  // namespace vitrine::devices
