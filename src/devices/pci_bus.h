// PCI bus 0 and configuration mechanism #1: the address register at port CF8h and the data window at
// CFCh–CFFh. Routes the interrupt pins of the functions to the four PIRQ lines of the ISA bridge.
//
// Documentation: PCI Local Bus Specification 2.2, "Configuration Mechanism #1".
// Implemented: byte, word and dword data cycles; narrow accesses at CF8h–CFBh are ordinary I/O.
// Missing: further buses (they read as absent), special cycles, mechanism #2.
#pragma once

#include <array>
#include <cstdint>

#include "base/state_archive.h"
#include "devices/irq_line.h"
#include "devices/pci_device.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class PciBus : public memory::PortDevice, public Serializable {
 public:
  static constexpr unsigned kSlots = 32;
  static constexpr unsigned kFunctions = 8;
  static constexpr unsigned kPirqs = 4;

  /// Maps itself at CF8h–CFFh. The maps must outlive the bus, the bus its devices' detaching.
  PciBus(memory::PortMap& ports, memory::PhysicalMap& memory);
  ~PciBus() override;

  /// The place must be free. The device leaves the bus when either is destroyed.
  void attach(PciDevice& device, unsigned slot, unsigned function = 0);
  void detach(PciDevice& device);

  /// Wires A–D of the interrupt router, as the chip that routes them offers them.
  void connect_pirqs(const std::array<IrqLine, kPirqs>& pirqs);
  /// Who answers at CF9h. Byte accesses there are no configuration cycles, but a dword at CF8h must reach the
  /// bus as one access, so the device is handed in here rather than mapped over the bus.
  void set_reset_control(memory::PortDevice* device) { reset_control_ = device; }

  /// The function at a place, or null.
  [[nodiscard]] PciDevice* find(unsigned slot, unsigned function) const {
    return devices_[slot * kFunctions + function];
  }
  [[nodiscard]] memory::PortMap& ports() { return ports_; }
  [[nodiscard]] memory::PhysicalMap& memory() { return memory_; }

  /// RST# to the bus and to every function on it.
  void reset();

  [[nodiscard]] std::string_view name() const override { return "pci-config"; }
  uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  /// The address register alone; each device is saved by whoever owns it.
  void serialize(StateArchive& archive) override;

 private:
  friend class PciDevice;
  void interrupt_changed(const PciDevice& device);
  void drive_pirq(unsigned pirq);
  [[nodiscard]] static unsigned pirq_of(const PciDevice& device);
  /// The function that the address register names, or null.
  [[nodiscard]] PciDevice* addressed() const;

  memory::PortMap& ports_;
  memory::PhysicalMap& memory_;
  std::array<PciDevice*, kSlots * kFunctions> devices_{};
  std::array<IrqLine, kPirqs> pirqs_{};
  memory::PortDevice* reset_control_ = nullptr;
  uint32_t address_ = 0;
};

}  // namespace vitrine::devices
