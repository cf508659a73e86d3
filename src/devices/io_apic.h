// The I/O APIC: 24 pins, each with an entry that says which processor gets which vector.
//
// Documentation: Intel 82093AA data sheet (290566).
// Registers: 4 KiB at FEC00000h: the index at 0, the window at 10h.
// Implemented: ID, version 11h, arbitration ID, redirection table, all delivery modes, edge and level
// trigger, remote IRR,
//   end of interrupt from the bus.
// Missing: repeating a message that nobody took: a level asks again when its device or its entry changes.
// There is no EOI
//   register (that is version 20h).
// Ignored bits: polarity (a wire here is high when it asks, whichever voltage that is); delivery status is
// always idle.
//   Writes of less than four bytes to the window.
//
// An edge on a masked pin is lost, a level stays and asks again when the pin is opened. Making an entry
// edge-triggered clears its remote IRR, as operating systems rely on.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/state_archive.h"
#include "devices/apic_bus.h"
#include "devices/irq_line.h"
#include "memory/physical_map.h"

namespace vitrine::devices {

class IoApic final : public memory::MemoryDevice, public IrqSink, public EoiListener, public Serializable {
 public:
  static constexpr uint64_t kDefaultBase = 0xfec00000;
  static constexpr uint64_t kWindowSize = 0x1000;
  static constexpr unsigned kPins = 24;

  /// Bits of a redirection entry.
  static constexpr uint64_t kLogical = 0x800;
  static constexpr uint64_t kRemoteIrr = 0x4000;
  static constexpr uint64_t kLevelTriggered = 0x8000;
  static constexpr uint64_t kMasked = 0x10000;

  explicit IoApic(ApicBus& bus);

  void reset();
  [[nodiscard]] std::string_view name() const override { return "ioapic"; }
  [[nodiscard]] uint64_t read_memory(uint64_t offset, unsigned size) override;
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override;
  void set_irq_line(unsigned line, bool level) override;
  void end_of_interrupt(uint8_t vector) override;

  // For the monitor. `pin` is 0–23.

  [[nodiscard]] uint8_t id() const { return id_; }
  [[nodiscard]] uint64_t entry(unsigned pin) const { return entries_[pin]; }
  [[nodiscard]] bool level(unsigned pin) const { return (levels_ >> pin & 1) != 0; }
  /// Messages sent for each pin.
  [[nodiscard]] const std::array<uint64_t, kPins>& delivered() const { return delivered_; }

  void serialize(StateArchive& archive) override;

 private:
  [[nodiscard]] uint32_t read_register() const;
  void write_register(uint32_t value);
  /// Sends the pin's message. Whether somebody took it.
  bool send(unsigned pin);
  void serve_level(unsigned pin);

  ApicBus& bus_;
  uint8_t index_ = 0;
  uint8_t id_ = 0;
  uint32_t levels_ = 0;  // one bit a pin
  std::array<uint64_t, kPins> entries_{};
  std::array<uint64_t, kPins> delivered_{};
};

}  // namespace vitrine::devices
