// All time that a guest can see goes through one Clock: devices read it and set Timers on it, the vCPU's
// time-stamp counter is derived from it. Time is real or a function of executed instructions, and no
// device can tell. See docs/time.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace vitrine {

/// Guest time since the machine was switched on, in nanoseconds.
using Nanoseconds = uint64_t;
inline constexpr Nanoseconds kNanosecondsPerSecond = 1'000'000'000;
inline constexpr Nanoseconds kNanosecondsPerMillisecond = 1'000'000;

/// Of the host, CLOCK_MONOTONIC. What guests see comes from a Clock.
[[nodiscard]] Nanoseconds monotonic_time();

class Timer;

/// Time and the timers waiting for it. Single-threaded: whoever drives a machine's devices holds it.
class Clock {
 public:
  Clock() = default;
  virtual ~Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  /// Never goes backwards.
  [[nodiscard]] virtual Nanoseconds now() const = 0;

  /// When the next armed timer is due, if there is one.
  [[nodiscard]] std::optional<Nanoseconds> next_deadline() const;

  /// Fires every timer that is due, in order of deadline, then of arming. A callback may arm and cancel
  /// timers, itself included. Returns how many fired.
  unsigned run_due_timers();

 protected:
  /// Called when the earliest deadline has moved forward, so that a running vCPU slice can be cut short.
  virtual void deadline_moved() {}
  /// While timers are being fired, the time they are fired for: a clock that stops at deadlines stays there
  /// until the callbacks have run.
  [[nodiscard]] std::optional<Nanoseconds> serving() const { return serving_; }

 private:
  friend class Timer;
  using Key = std::pair<Nanoseconds, uint64_t>;  // deadline, order of arming

  std::map<Key, Timer*> armed_;
  uint64_t next_order_ = 0;
  std::optional<Nanoseconds> serving_;
};

/// One event in the future. Lives inside its device; disarms itself when destroyed.
class Timer {
 public:
  Timer(Clock& clock, std::function<void()> callback) : clock_(clock), callback_(std::move(callback)) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Fires once when the clock reaches `deadline` (absolute). Replaces an earlier arming.
  void arm(Nanoseconds deadline);
  void cancel();
  [[nodiscard]] bool armed() const { return armed_; }
  /// Meaningful while armed.
  [[nodiscard]] Nanoseconds deadline() const { return key_.first; }

 private:
  friend class Clock;
  Clock& clock_;
  std::function<void()> callback_;
  Clock::Key key_{};
  bool armed_ = false;
};

/// A clock that goes where it is told: for tests, and as the base of instruction-counted time.
class ManualClock : public Clock {
 public:
  [[nodiscard]] Nanoseconds now() const override { return now_; }
  /// Moves to `time` (not before now), firing each timer at its own deadline on the way.
  void advance_to(Nanoseconds time);
  void advance(Nanoseconds by) { advance_to(now_ + by); }

 private:
  Nanoseconds now_ = 0;
};

/// `value * multiplier / divisor` without overflow in between; for conversions between clock rates.
[[nodiscard]] constexpr uint64_t scale(uint64_t value, uint64_t multiplier, uint64_t divisor) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(value) * multiplier / divisor);
}

}  // namespace vitrine
