// Guest time that runs with the host's monotonic clock, and stands still while the machine is paused.
//
// It never runs past a deadline that has not been served: when the host was late (it ran something else),
// time stops at the earliest deadline until run_due_timers() was called, then goes on to the next. So the
// guest sees each tick of its timers, in order and with all its clocks agreeing, and catches up with the host
// one tick at a time. What it lags behind by more than kLagLimit it jumps over.
#pragma once

#include <functional>
#include <utility>

#include "base/clock.h"

namespace vitrine::machine {

class RealClock final : public Clock {
 public:
  /// The host's clock in nanoseconds; another one for tests.
  using Source = std::function<Nanoseconds()>;

  /// Starts at zero, stopped.
  RealClock() : RealClock(monotonic_time) {}
  explicit RealClock(Source source) : source_(std::move(source)) {}

  static constexpr Nanoseconds kLagLimit = kNanosecondsPerSecond;

  [[nodiscard]] Nanoseconds now() const override;
  /// How far guest time is behind the host's.
  [[nodiscard]] Nanoseconds lag() const { return host_time() - now(); }
  void start();
  void stop();
  [[nodiscard]] bool running() const { return running_; }
  /// Where guest time goes on from, after a saved state was loaded. Only while stopped, and not back.
  void set(Nanoseconds now);

  /// Called when the earliest deadline has moved forward: a running vCPU should look up.
  void set_deadline_listener(std::function<void()> listener) { listener_ = std::move(listener); }

 private:
  void deadline_moved() override {
    if (listener_) listener_();
  }

  /// Where guest time would be if nothing held it up.
  [[nodiscard]] Nanoseconds host_time() const {
    return running_ ? elapsed_ + (source_() - started_) : elapsed_;
  }

  Source source_;
  std::function<void()> listener_;
  mutable Nanoseconds shown_ = 0;  // what now() has said last: it does not go back
  Nanoseconds elapsed_ = 0;
  Nanoseconds started_ = 0;  // by source_, while running
  bool running_ = false;
};

}  // namespace vitrine::machine
