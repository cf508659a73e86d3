#include "devices/pci_bus.h"

#include "base/check.h"

namespace vitrine::devices {
namespace {

constexpr uint16_t kAddressPort = 0xcf8;
constexpr uint16_t kResetPort = 0xcf9;
constexpr uint16_t kDataPort = 0xcfc;
constexpr uint32_t kEnable = 0x80000000;
// PCI 2.2, "Configuration Mechanism #1": bits 30–24 and 1–0 are reserved and read as zero.
constexpr uint32_t kAddressBits = 0x80fffffc;

}  // namespace

PciBus::PciBus(memory::PortMap& ports, memory::PhysicalMap& memory) : ports_(ports), memory_(memory) {
  // Two ranges, so that an access across both is split between them.
  ports_.map(kAddressPort, 4, *this, memory::PortWidth::Dword);
  ports_.map(kDataPort, 4, *this, memory::PortWidth::Dword);
}

PciBus::~PciBus() {
  for (PciDevice* device : devices_) {
    if (device != nullptr) device->detach();
  }
  ports_.unmap(kDataPort, 4, *this);
  ports_.unmap(kAddressPort, 4, *this);
}

void PciBus::attach(PciDevice& device, unsigned slot, unsigned function) {
  CHECK(slot < kSlots && function < kFunctions && find(slot, function) == nullptr, "PCI {:02x}.{}", slot,
        function);
  CHECK(device.bus_ == nullptr);
  const unsigned position = slot * kFunctions + function;
  devices_[position] = &device;
  device.attach(*this, static_cast<uint8_t>(position));
}

void PciBus::detach(PciDevice& device) {
  CHECK(device.bus_ == this && devices_[device.position_] == &device);
  const bool asserted = device.interrupt_asserted();
  devices_[device.position_] = nullptr;
  device.detach();
  if (asserted) drive_pirq(pirq_of(device));
}

void PciBus::connect_pirqs(const std::array<IrqLine, kPirqs>& pirqs) {
  pirqs_ = pirqs;
  for (unsigned pirq = 0; pirq < kPirqs; ++pirq) drive_pirq(pirq);
}

void PciBus::reset() {
  address_ = 0;
  for (PciDevice* device : devices_) {
    if (device != nullptr) device->reset();
  }
}

// The 440FX board wires the pins so that the functions of neighbouring slots do not share a line: slot 1
// INTA# is PIRQA, slot 2 INTA# is PIRQB, and so on round. Firmware knows the same rule.
unsigned PciBus::pirq_of(const PciDevice& device) {
  const unsigned slot = device.position_ / kFunctions;
  return (slot + device.interrupt_pin() + 2) % kPirqs;
}

void PciBus::drive_pirq(unsigned pirq) {
  bool level = false;
  for (const PciDevice* device : devices_) {
    if (device != nullptr && device->interrupt_asserted() && pirq_of(*device) == pirq) level = true;
  }
  pirqs_[pirq].set(level);
}

void PciBus::interrupt_changed(const PciDevice& device) {
  if (device.interrupt_pin() != 0) drive_pirq(pirq_of(device));
}

PciDevice* PciBus::addressed() const {
  const unsigned bus = (address_ >> 16) & 0xff;
  if ((address_ & kEnable) == 0 || bus != 0) return nullptr;
  return devices_[(address_ >> 8) & 0xff];
}

uint32_t PciBus::read_port(uint16_t port, unsigned size) {
  if (port >= kDataPort) {
    PciDevice* device = addressed();
    if (device == nullptr) return ~0u;
    return device->read_config((address_ & 0xfc) | (port & 3), size);
  }
  if (port == kAddressPort && size == 4) return address_;
  if (port == kResetPort && size == 1 && reset_control_ != nullptr)
    return reset_control_->read_port(port, size);
  return ~0u;
}

void PciBus::write_port(uint16_t port, unsigned size, uint32_t value) {
  if (port >= kDataPort) {
    if (PciDevice* device = addressed()) device->write_config((address_ & 0xfc) | (port & 3), size, value);
  } else if (port == kAddressPort && size == 4) {
    address_ = value & kAddressBits;
  } else if (port == kResetPort && size == 1 && reset_control_ != nullptr) {
    reset_control_->write_port(port, size, value);
  }
}

void PciBus::serialize(StateArchive& archive) {
  archive.section("pci-bus", 1);
  archive.field(address_);
  address_ &= kAddressBits;
}

}  // namespace vitrine::devices
