// The power management function of the PIIX4 (function 3 beside the PIIX3 in QEMU's `pc`): the ACPI
// fixed hardware, the SMI command port and the SMBus host controller.
//
// Documentation: Intel 82371AB (PIIX4) data sheet, "Power Management"; ACPI Specification, "ACPI Hardware".
// Implemented: PM1 status, enable and control; the 24-bit PM timer; soft-off; the power button; APM control
// B2h/B3h
//   with the ACPI enable (F1h) and disable (F0h) commands carried out directly; a GPE block at AFE0h as QEMU
//   has it.
// Missing: system-management mode (bit 1 of 5Bh says "SMIs are set up", so that firmware does not try to),
// suspend to
//   RAM (the machine wakes at once), devices on the SMBus (every transfer ends with a device error).
// Ignored: thermal and clock control, device monitors, the general purpose pins (registers store what is
// written).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/clock.h"
#include "devices/irq_line.h"
#include "devices/pci_device.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class Piix4Pm : public PciDevice, public memory::PortDevice {
 public:
  static constexpr unsigned kTimerHz = 3'579'545;

  /// Which legacy ports the board says it has; QEMU's ACPI tables read this from configuration space.
  struct LegacyPorts {
    bool parallel = false;  ///< 378h
    bool serial1 = false;   ///< 3F8h
    bool serial2 = false;   ///< 2F8h
  };

  /// `power_off` is called when the guest enters soft-off (S5, or S4 as the tables name it).
  Piix4Pm(Clock& clock, memory::PortMap& ports, IrqLine sci, std::function<void()> power_off);
  ~Piix4Pm() override;

  void set_legacy_ports(const LegacyPorts& present);
  /// The user pressed the button: an SCI, if the guest listens.
  void press_power_button();
  /// Sets a bit (0–15) of the general purpose event status.
  void raise_general_event(unsigned bit);

  [[nodiscard]] std::string_view name() const override { return "piix4-pm"; }
  uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;

 private:
  static constexpr unsigned kPmSize = 64;
  static constexpr unsigned kSmbusSize = 16;

  [[nodiscard]] uint64_t timer_ticks() const;
  void note_timer_overflow();
  void update_sci();
  void write_pm(unsigned offset, uint8_t value);
  [[nodiscard]] uint8_t read_pm(unsigned offset);
  void write_control_high(uint8_t value);
  void write_apm_control(uint8_t value);
  [[nodiscard]] uint8_t read_smbus(unsigned offset);
  void write_smbus(unsigned offset, uint8_t value);
  void update_ranges();
  void move_range(std::optional<uint16_t>& mapped, std::optional<uint16_t> wanted, unsigned size);
  void set_initial_config();

  void config_written(unsigned offset, unsigned size) override;
  void reset_device() override;
  void serialize_device(StateArchive& archive) override;

  Clock& clock_;
  memory::PortMap& ports_;
  IrqLine sci_;
  std::function<void()> power_off_;
  Timer overflow_timer_;

  std::optional<uint16_t> pm_base_;
  std::optional<uint16_t> smbus_base_;
  uint16_t status_ = 0;
  uint16_t enable_ = 0;
  uint16_t control_ = 0;
  uint16_t general_status_ = 0;
  uint16_t general_enable_ = 0;
  uint64_t seen_halves_ = 0;  // half periods of the timer that have been turned into TMROF_STS
  std::array<uint8_t, kPmSize> stored_{};
  std::array<uint8_t, kSmbusSize> smbus_{};
  uint8_t apm_control_ = 0;
  uint8_t apm_status_ = 0;
};

}  // namespace vitrine::devices
