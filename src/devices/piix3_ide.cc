#include "devices/piix3_ide.h"

#include "devices/pci_bus.h"

namespace vitrine::devices {

namespace {

constexpr PciIdentity kIdentity{.vendor = 0x8086, .device = 0x7010, .class_code = 0x010180};

// 82371SB data sheet, "IDETIM": timing of the primary and secondary channel, and of their second devices.
constexpr unsigned kPrimaryTiming = 0x40;
constexpr unsigned kSecondaryTiming = 0x42;
constexpr unsigned kSlaveTiming = 0x44;
constexpr uint16_t kTimingMask = 0xf3ff;
constexpr uint16_t kDecodeEnable = 0x8000;

constexpr unsigned kBusMasterPorts = 16;

}  // namespace

Piix3Ide::Piix3Ide(IrqLine primary_irq, IrqLine secondary_irq)
    : PciDevice(kIdentity),
      primary_(IdeChannel::kPrimary, primary_irq),
      secondary_(IdeChannel::kSecondary, secondary_irq),
      master0_(*this, primary_),
      master1_(*this, secondary_) {
  define_io_bar(kBusMasterBar, kBusMasterPorts, *this, memory::PortWidth::Dword);
  set_write_mask16(kPrimaryTiming, kTimingMask);
  set_write_mask16(kSecondaryTiming, kTimingMask);
  set_write_mask8(kSlaveTiming, 0xff);
}

void Piix3Ide::map_legacy_ports(memory::PortMap& ports) {
  for (IdeChannel* channel : {&primary_, &secondary_}) {
    ports.map(channel->ports().command, IdeChannel::kCommandPorts, *channel, memory::PortWidth::Dword);
    ports.map(channel->ports().control, 1, *channel);
  }
}

void Piix3Ide::enable_decoding() {
  set_config16(kPrimaryTiming, static_cast<uint16_t>(config16(kPrimaryTiming) | kDecodeEnable));
  set_config16(kSecondaryTiming, static_cast<uint16_t>(config16(kSecondaryTiming) | kDecodeEnable));
}

uint32_t Piix3Ide::read_port(uint16_t port, unsigned size) {
  const unsigned offset = port & (kBusMasterPorts - 1);
  return master(offset).read_register(offset % BusMasterIde::kRegisters, size);
}

void Piix3Ide::write_port(uint16_t port, unsigned size, uint32_t value) {
  const unsigned offset = port & (kBusMasterPorts - 1);
  master(offset).write_register(offset % BusMasterIde::kRegisters, size, value);
}

bool Piix3Ide::answered(PhysicalAddress address) {
  if (bus() == nullptr) return false;
  const memory::Region& region = bus()->memory().find(address);
  return region.read_block != nullptr || region.write_block != nullptr || region.device != nullptr;
}

bool Piix3Ide::read(PhysicalAddress address, std::span<uint8_t> data) {
  return answered(address) && dma_read(address, data);
}

bool Piix3Ide::write(PhysicalAddress address, std::span<const uint8_t> data) {
  return answered(address) && dma_write(address, data);
}

void Piix3Ide::reset_device() {
  set_config16(kPrimaryTiming, 0);
  set_config16(kSecondaryTiming, 0);
  set_config8(kSlaveTiming, 0);
  master0_.reset();
  master1_.reset();
  primary_.reset();
  secondary_.reset();
}

void Piix3Ide::serialize_device(StateArchive& archive) {
  archive.section("piix3_ide", 1);
  primary_.serialize(archive);
  secondary_.serialize(archive);
  master0_.serialize(archive);
  master1_.serialize(archive);
}

}  // namespace vitrine::devices
