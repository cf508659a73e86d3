// The PC's programmable interval timer: three counters at 1.193182 MHz.
//
// Documentation: Intel 8254 data sheet (231164).
// Implemented: all six modes, both gates' meanings (level and trigger), binary and BCD, byte and word access,
// counter
//   latch, read-back, null count. Counter 0 drives an interrupt line, counter 2's gate and output belong to
//   port 61h.
// Missing: nothing of the data sheet. Ignored bits: none.
//
// Nothing ticks. A counter remembers the clock pulse at which its counting element was loaded; count and
// output follow from the time. Counter 0 keeps a Timer on its next change of output. Edges are counted from
// the load, so that lateness never adds up; several rising edges found at once (the host was late, or the
// period is shorter than anyone can serve) arrive as one, as on a wire that nobody watched, and
// missed_edges() tells. The one-pulse low of modes 2, 4 and 5 appears on the line as low and high at the same
// moment.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/irq_line.h"
#include "memory/port_map.h"

namespace vitrine::devices {

/// One counter, in clock pulses. `now` never goes backwards from call to call.
class PitCounter {
 public:
  enum class Mode : uint8_t {
    InterruptOnTerminalCount = 0,
    OneShot = 1,
    RateGenerator = 2,
    SquareWave = 3,
    SoftwareStrobe = 4,
    HardwareStrobe = 5,
  };
  enum class Access : uint8_t { Latch = 0, Low = 1, High = 2, LowThenHigh = 3 };

  void write_control(uint64_t now, uint8_t control);
  void write(uint64_t now, uint8_t value);
  [[nodiscard]] uint8_t read(uint64_t now);
  void latch_count(uint64_t now);
  void latch_status(uint64_t now);
  void set_gate(uint64_t now, bool level);

  [[nodiscard]] bool gate() const { return gate_; }
  [[nodiscard]] bool output(uint64_t now);
  /// The first pulse after `now` at which the output may change, or a rising edge happens.
  [[nodiscard]] std::optional<uint64_t> next_change(uint64_t now);
  /// Rising edges since the last call.
  [[nodiscard]] uint64_t take_rising_edges(uint64_t now);

  [[nodiscard]] Mode mode() const { return mode_; }
  /// The length of a period in pulses: 1–65536 (up to 16665 with senseless BCD).
  [[nodiscard]] uint32_t reload_value() const;

  void serialize(StateArchive& archive);

 private:
  void settle(uint64_t now);
  void load(uint64_t at);
  void unload();
  void schedule_load(uint64_t at);
  void freeze(uint64_t now);
  void count_written(uint64_t now);
  [[nodiscard]] uint64_t elapsed(uint64_t now) const { return frozen_ ? frozen_elapsed_ : now - loaded_at_; }
  [[nodiscard]] uint64_t high_length() const { return (period_ + 1) / 2; }
  [[nodiscard]] bool periodic() const { return mode_ == Mode::RateGenerator || mode_ == Mode::SquareWave; }
  [[nodiscard]] bool triggered() const { return mode_ == Mode::OneShot || mode_ == Mode::HardwareStrobe; }
  [[nodiscard]] uint64_t edges_since_load(uint64_t now) const;
  [[nodiscard]] bool output_of(uint64_t elapsed_pulses) const;
  [[nodiscard]] uint16_t count(uint64_t now) const;
  [[nodiscard]] uint16_t encode(uint64_t pulses) const;

  Mode mode_ = Mode::InterruptOnTerminalCount;
  Access access_ = Access::LowThenHigh;
  bool bcd_ = false;
  bool gate_ = true;
  uint16_t count_register_ = 0;
  bool null_count_ = true;
  bool count_valid_ = false;  // a count has been written since the control word

  bool loaded_ = false;      // the counting element holds a count of this mode
  uint64_t loaded_at_ = 0;   // pulse at which it was loaded
  uint32_t period_ = 65536;  // with what
  bool load_pending_ = false;
  uint64_t load_at_ = 0;
  bool frozen_ = false;  // the gate holds the count
  uint64_t frozen_elapsed_ = 0;
  uint64_t edges_counted_ = 0;  // of those since the load
  uint64_t edges_ = 0;          // not yet taken

  bool write_high_next_ = false;
  uint8_t write_low_ = 0;
  bool read_high_next_ = false;
  std::optional<uint16_t> latched_count_;
  std::optional<uint8_t> latched_status_;
};

/// Ports 40h–43h, one byte wide.
class Pit8254 final : public memory::PortDevice, public Serializable {
 public:
  static constexpr uint64_t kFrequency = 1'193'182;  // Hz
  static constexpr unsigned kCounters = 3;

  /// `irq0` carries counter 0's output.
  Pit8254(Clock& clock, IrqLine irq0);

  [[nodiscard]] std::string_view name() const override { return "pit8254"; }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;

  /// `counter` is 0–2. Counters 0 and 1 have their gates tied high in a PC.
  [[nodiscard]] bool output(unsigned counter);
  void set_gate(unsigned counter, bool level);
  [[nodiscard]] bool gate(unsigned counter) const { return counters_[counter].gate(); }

  [[nodiscard]] const PitCounter& counter(unsigned index) const { return counters_[index]; }
  /// Rising edges of counter 0 that went out together with a later one.
  [[nodiscard]] uint64_t missed_edges() const { return missed_edges_; }

  void serialize(StateArchive& archive) override;

 private:
  [[nodiscard]] uint64_t pulse() const { return scale(clock_.now(), kFrequency, kNanosecondsPerSecond); }
  void write_control(uint8_t value);
  void read_back(uint8_t value);
  void update_irq();

  Clock& clock_;
  IrqLine irq0_;
  std::array<PitCounter, kCounters> counters_;
  Timer timer_;
  uint64_t missed_edges_ = 0;
};

}  // namespace vitrine::devices
