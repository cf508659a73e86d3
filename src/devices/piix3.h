// The 82371SB (PIIX3) PCI-to-ISA bridge, function 0 of its device: routes the four PCI interrupt lines to
// ISA interrupts.
//
// Documentation: Intel 82371FB/82371SB (PIIX/PIIX3) data sheet, "PCI to ISA Bridge Registers".
// Implemented: PIRQRC[A:D] (60h–63h), the multi-function header; the other documented registers store what is
// written. Missing: what lives in other chips: the 8259A pair with ELCR, 8254, 8237, the reset control
// register CF9h; USB. Ignored: positive decode and motherboard interrupt settings (XBCS, MBIRQ, PCSC), SMI
// control.
#pragma once

#include <array>
#include <cstdint>

#include "devices/irq_line.h"
#include "devices/pci_device.h"

namespace vitrine::devices {

/// As an IrqSink its lines 0–3 are PIRQA#–PIRQD#, active when told so.
class Piix3 : public PciDevice, public IrqSink {
 public:
  static constexpr unsigned kPirqs = 4;
  static constexpr unsigned kIsaInterrupts = 16;

  /// `isa` are wires of this chip alone: whoever takes them ORs them with those of the ISA devices
  /// (GsiRouter).
  explicit Piix3(const std::array<IrqLine, kIsaInterrupts>& isa);
  /// Takes its wires off the bus it sits on: functions that leave later drive nothing.
  ~Piix3() override;

  /// The wires for PciBus::connect_pirqs.
  [[nodiscard]] std::array<IrqLine, kPirqs> pirqs();

  void set_irq_line(unsigned line, bool level) override;

 private:
  void update();
  void config_written(unsigned offset, unsigned size) override;
  void reset_device() override;
  void serialize_device(StateArchive& archive) override;

  std::array<IrqLine, kIsaInterrupts> isa_;
  std::array<bool, kPirqs> levels_{};
  uint16_t driven_ = 0;  // one bit an ISA interrupt
};

}  // namespace vitrine::devices
