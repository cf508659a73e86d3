// The PC's real-time clock and its battery-backed memory (CMOS).
//
// Documentation: Motorola MC146818 data sheet; PIIX3 data sheet (290550), "Real Time Clock".
// Ports: 70h (index; bit 7, the NMI mask, is accepted and forgotten) and 71h (data), one byte wide.
// Implemented: time, date and century in binary or BCD, 12 or 24 hours; alarm with don't-care bytes;
// periodic, alarm and
//   update-ended interrupts; SET; divider reset; UIP; register C cleared by reading; 128 bytes.
// Missing: daylight saving (B.DSE is remembered only), the square-wave output, the PIIX3's upper 128 bytes.
// Ignored bits: A.UIP, registers C and D when written.
//
// Nothing ticks. The time is a base plus the machine's Clock; flags that passed unseen are found when
// register C is read or B written. The timer is armed only for an enabled interrupt that has not been flagged
// yet.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/irq_line.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class RtcMc146818 final : public memory::PortDevice, public Serializable {
 public:
  static constexpr unsigned kCmosSize = 128;
  static constexpr unsigned kCentury = 0x32;

  /// `unix_seconds` is the date that the guest sees when the Clock is at zero, in seconds since 1970 on the
  /// calendar that the guest expects (universal or local time). `irq` is line 8.
  RtcMc146818(Clock& clock, IrqLine irq, int64_t unix_seconds);

  /// The RESET pin: interrupts off. Time and memory stay.
  void reset();
  [[nodiscard]] std::string_view name() const override { return "rtc-mc146818"; }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;

  /// Memory behind the clock's registers: indices 0Eh–7Fh, without the century byte (what firmware wants to
  /// find there is the machine builder's business). Others are left alone.
  void set_cmos(unsigned index, uint8_t value);
  /// What a guest would read, without the effects of reading.
  [[nodiscard]] uint8_t cmos(unsigned index) const;
  /// The date that the guest sees now, in seconds since 1970.
  [[nodiscard]] int64_t unix_seconds() const;

  void serialize(StateArchive& archive) override;

 private:
  /// Time of the divider chain in nanoseconds since it was started; its seconds are the clock's.
  [[nodiscard]] uint64_t chain() const { return clock_.now() + phase_; }
  [[nodiscard]] bool running() const;
  [[nodiscard]] bool update_in_progress() const;
  [[nodiscard]] uint64_t period() const;

  void write_register(uint8_t index, uint8_t value);
  void write_control_a(uint8_t value);
  void write_control_b(uint8_t value);
  void stop();
  void start();

  [[nodiscard]] uint8_t encode(unsigned value) const;
  [[nodiscard]] unsigned decode(uint8_t value) const;
  [[nodiscard]] uint8_t encode_hour(unsigned hour) const;
  [[nodiscard]] unsigned decode_hour(uint8_t value) const;
  [[nodiscard]] std::array<uint8_t, 8> time_bytes() const;
  void store_time_bytes();
  void set_time_from_bytes();

  void find_flags();
  void collect_flags();
  [[nodiscard]] uint8_t requested() const;
  void flags_changed();
  void arm_timer();
  [[nodiscard]] std::optional<int64_t> next_alarm(int64_t after) const;

  Clock& clock_;
  IrqLine irq_;
  Timer timer_;
  std::array<uint8_t, kCmosSize> cmos_{};
  uint8_t index_ = 0;
  int64_t base_ = 0;            // date at chain() == 0
  uint64_t phase_ = 0;          // below one second
  unsigned weekday_shift_ = 0;  // what the guest set the day of the week to, against the calendar
  uint64_t examined_ = 0;       // chain() up to which flags have been found
};

}  // namespace vitrine::devices
