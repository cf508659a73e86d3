// The PC's two interrupt controllers.
//
// Documentation: Intel 8259A data sheet (231468); PIIX3 data sheet (290550), "Interrupt Controller" and the
//   edge/level control registers.
// Implemented: ICW1–ICW4, OCW1–OCW3, fully nested and special fully nested mode, automatic EOI, all
//   rotations, special mask mode, poll mode, reading IRR and ISR, edge or level for each line (ELCR, or
//   ICW1.LTIM for the whole chip), spurious IR7 and IR15.
// Missing: the 8080/8085 sequence (ICW4.uPM = 0 answers as an 8086), buffered mode has no effect.
// Ignored bits: ICW1.ADI and A7–A5; ICW3 (the slave is wired to IR2, as in the PIIX3).
//
// An edge is latched until it is acknowledged: a device may pulse its line. (The data sheet wants the line
// held until INTA and otherwise gives the spurious IR7; that happens here to level-triggered lines only.) The
// cascade keeps to the data sheet: when the slave takes its request back, so does the master.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/state_archive.h"
#include "devices/irq_line.h"
#include "devices/processor_signals.h"
#include "memory/port_map.h"

namespace vitrine::devices {

/// One 8259A: eight inputs, one output. Knows nothing of its place in the cascade but its role.
class Pic8259a {
 public:
  enum class Role : uint8_t { Master, Slave };
  /// Which of its two addresses is accessed: the chip's pin A0.
  enum class Address : uint8_t { Command, Data };

  /// What the monitor shows.
  struct Snapshot {
    uint8_t irr, imr, isr, level_triggered, vector_base, lowest_priority;
    bool auto_eoi, special_mask, special_fully_nested, intr;
  };

  explicit Pic8259a(Role role) : role_(role) {}

  void reset();
  void set_input(unsigned input, bool level);
  /// The input falls, and what it had latched goes with it.
  void withdraw_input(unsigned input);
  [[nodiscard]] uint8_t read(Address address);
  void write(Address address, uint8_t value);

  /// The INT pin.
  [[nodiscard]] bool output() const { return highest_request().has_value(); }
  /// The INTA cycle: the input that is now in service, or nothing (then the chip answers as for input 7, with
  /// no in-service bit set).
  std::optional<unsigned> acknowledge();
  [[nodiscard]] uint8_t vector_base() const { return vector_base_; }
  /// Whether the next read is an acknowledgement.
  [[nodiscard]] bool polling() const { return poll_; }

  /// The chip's half of the ELCR. Bits of `value` that cannot be level-triggered are dropped.
  void set_level_control(uint8_t value);
  [[nodiscard]] uint8_t level_control() const { return elcr_; }

  [[nodiscard]] Snapshot snapshot() const;
  void serialize(StateArchive& archive);

 private:
  enum class Expect : uint8_t { Operation, Icw2, Icw3, Icw4 };

  [[nodiscard]] std::optional<unsigned> highest_request() const;
  [[nodiscard]] std::optional<unsigned> highest_of(uint8_t bits) const;
  [[nodiscard]] uint8_t level_triggered() const { return ltim_ ? 0xff : elcr_; }
  /// 0 is the highest.
  [[nodiscard]] unsigned rank(unsigned input) const { return (input - lowest_priority_ - 1) & 7; }
  void write_icw1(uint8_t value);
  void write_ocw2(uint8_t value);
  void write_ocw3(uint8_t value);
  void write_data(uint8_t value);
  [[nodiscard]] uint8_t poll();

  Role role_;
  uint8_t lines_ = 0;  // levels of the inputs
  uint8_t irr_ = 0;    // edges latched, and levels
  uint8_t imr_ = 0;
  uint8_t isr_ = 0;
  uint8_t elcr_ = 0;
  uint8_t vector_base_ = 0;
  uint8_t lowest_priority_ = 7;
  Expect expect_ = Expect::Operation;
  bool icw4_follows_ = false;
  bool single_ = false;
  bool ltim_ = false;
  bool auto_eoi_ = false;
  bool rotate_in_auto_eoi_ = false;
  bool special_mask_ = false;
  bool special_fully_nested_ = false;
  bool read_isr_ = false;
  bool poll_ = false;
};

/// Master and slave as the PC has them. Ports, all one byte wide: 20h, 21h (master), A0h, A1h (slave), 4D0h,
/// 4D1h (ELCR). Inputs 0–15 are the IRQ lines; 2 is the cascade and cannot be driven.
class PicPair final : public IrqSink,
                      public memory::PortDevice,
                      public ExternalInterruptSource,
                      public Serializable {
 public:
  static constexpr unsigned kLines = 16;

  /// `intr` leads to the processor, or to LINT0 of its local APIC.
  explicit PicPair(IrqLine intr = {}) : intr_(intr) {}
  /// Lays the wire later: a local APIC wants to know the pair first.
  void connect(IrqLine intr) {
    intr_ = intr;
    update();
  }

  void reset();
  void set_irq_line(unsigned line, bool level) override;
  [[nodiscard]] std::string_view name() const override { return "pic8259a"; }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;

  /// The processor's INTA cycle: the vector. Always gives one (the spurious one when no request is left).
  uint8_t acknowledge() override;
  [[nodiscard]] bool intr() const { return master_.output(); }

  [[nodiscard]] const Pic8259a& master() const { return master_; }
  [[nodiscard]] const Pic8259a& slave() const { return slave_; }
  /// How often each line has been acknowledged; spurious interrupts apart.
  [[nodiscard]] const std::array<uint64_t, kLines>& delivered() const { return delivered_; }
  [[nodiscard]] uint64_t spurious() const { return spurious_; }

  void serialize(StateArchive& archive) override;

 private:
  void update();

  Pic8259a master_{Pic8259a::Role::Master};
  Pic8259a slave_{Pic8259a::Role::Slave};
  IrqLine intr_;
  std::array<uint64_t, kLines> delivered_{};
  uint64_t spurious_ = 0;
};

}  // namespace vitrine::devices
