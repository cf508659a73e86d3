// The timer of a local APIC: when it expires, and what its count is. The local vector table entry that says
// what happens then belongs to LocalApic.
//
// Documentation: SDM Vol. 3A, "APIC Timer" and "TSC-Deadline Mode".
// The count is computed from the clock. An event is set only while the entry is not masked. A periodic timer
// keeps to its grid however late an event comes; periods that have passed by then, or that are shorter than
// kShortestInterval, make one interrupt together.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "base/state_archive.h"

namespace vitrine::devices {

class LocalApicTimer {
 public:
  enum class Mode : uint8_t { OneShot = 0, Periodic = 1, TscDeadline = 2 };
  enum class Interrupts : uint8_t { Masked, Open };
  /// When a time-stamp counter will read the given value, on the machine's Clock. A value already passed
  /// gives any time that is not in the future; one beyond the Clock's range gives its largest.
  using TimeOfTsc = std::function<Nanoseconds(uint64_t tsc)>;

  /// The timer's input clock, before the divider.
  static constexpr uint64_t kFrequency = kNanosecondsPerSecond;
  /// A guest may ask for a period of one nanosecond; it gets no more interrupts than this allows.
  static constexpr Nanoseconds kShortestInterval = 10'000;

  /// `time_of_tsc` may be empty: then there is no TSC-deadline mode.
  LocalApicTimer(Clock& clock, std::function<void()> expired, TimeOfTsc time_of_tsc);

  void reset();
  [[nodiscard]] bool has_tsc_deadline() const { return static_cast<bool>(time_of_tsc_); }
  /// From the local vector table. Going to or from TSC-deadline mode disarms.
  void configure(Mode mode, Interrupts interrupts);

  /// Starts the count; 0 stops it. Without effect in TSC-deadline mode.
  void set_initial_count(uint32_t count);
  [[nodiscard]] uint32_t initial_count() const { return initial_count_; }
  [[nodiscard]] uint32_t current_count() const;
  /// The divide configuration register's bits 3, 1 and 0.
  void set_divide(uint32_t value);
  [[nodiscard]] uint32_t divide() const { return divide_; }
  /// IA32_TSC_DEADLINE. Without effect (and zero) in the other modes.
  void set_tsc_deadline(uint64_t tsc);
  [[nodiscard]] uint64_t tsc_deadline() const { return tsc_deadline_; }

  void serialize(StateArchive& archive);

 private:
  [[nodiscard]] uint64_t divisor() const;
  [[nodiscard]] Nanoseconds period() const { return initial_count_ * divisor(); }
  /// The first time on the periodic grid that is not before `time`.
  [[nodiscard]] Nanoseconds grid_point(Nanoseconds time) const;
  void expire();
  void arm();

  Clock& clock_;
  std::function<void()> expired_;
  TimeOfTsc time_of_tsc_;
  Timer timer_;
  Mode mode_ = Mode::OneShot;
  Interrupts interrupts_ = Interrupts::Masked;
  uint32_t initial_count_ = 0;
  uint32_t divide_ = 0;
  uint64_t tsc_deadline_ = 0;
  Nanoseconds expires_ = 0;  // a point of the grid; for one-shot, the end
};

}  // namespace vitrine::devices
