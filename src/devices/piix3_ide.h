// The IDE function of the PIIX3 (8086:7010): two channels at their legacy ports and the bus master's
// registers at base address register 4.
//
// Documentation: Intel 82371SB (PIIX3) data sheet, "IDE Configuration Registers" (function 1).
// Implemented: identification, command and status, base address 4, the IDE timing registers as storage, bus
// mastering for both channels. Missing: native mode (the chip has none). Ignored: timings, and the IDE decode
// enable bits: the channels answer whatever these say, so that a machine that starts without a BIOS finds its
// disks. The builder may preset them with enable_decoding().
#pragma once

#include <array>
#include <cstdint>

#include "devices/bus_master_ide.h"
#include "devices/ide_channel.h"
#include "devices/pci_device.h"

namespace vitrine::devices {

class Piix3Ide : public PciDevice, private memory::PortDevice, private BusMasterMemory {
 public:
  static constexpr unsigned kBusMasterBar = 4;

  /// Interrupts 14 and 15 of the ISA bus.
  Piix3Ide(IrqLine primary_irq, IrqLine secondary_irq);

  /// 0 is the primary channel. Disks and drives are attached to it.
  [[nodiscard]] IdeChannel& channel(unsigned number) { return number == 0 ? primary_ : secondary_; }
  /// Maps both channels' legacy ports; `ports` must outlive the map's last access.
  void map_legacy_ports(memory::PortMap& ports);
  /// Sets the decode enable bits as a BIOS does, for a machine that starts without one.
  void enable_decoding();

 private:
  // Base address 4: the bus masters' registers.
  [[nodiscard]] std::string_view name() const override { return "piix3-ide"; }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;

  [[nodiscard]] bool read(PhysicalAddress address, std::span<uint8_t> data) override;
  [[nodiscard]] bool write(PhysicalAddress address, std::span<const uint8_t> data) override;
  /// Whether anything at all answers at an address: else the chip's cycle ends in a master abort.
  [[nodiscard]] bool answered(PhysicalAddress address);

  void reset_device() override;
  void serialize_device(StateArchive& archive) override;

  [[nodiscard]] BusMasterIde& master(unsigned offset) {
    return offset < BusMasterIde::kRegisters ? master0_ : master1_;
  }

  IdeChannel primary_;
  IdeChannel secondary_;
  BusMasterIde master0_;
  BusMasterIde master1_;
};

}  // namespace vitrine::devices
