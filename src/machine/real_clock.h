// Guest time that runs with the host's monotonic clock, and stands still while the machine is paused.
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

  [[nodiscard]] Nanoseconds now() const override {
    return running_ ? elapsed_ + (source_() - started_) : elapsed_;
  }
  void start();
  void stop();
  [[nodiscard]] bool running() const { return running_; }
  /// Where guest time goes on from, after a saved state was loaded. Only while stopped, and not back.
  void set(Nanoseconds now);

  /// Called when the earliest deadline has moved forward: a running vCPU should look up.
  void set_deadline_listener(std::function<void()> listener) { listener_ = std::move(listener); }

  /// CLOCK_MONOTONIC.
  [[nodiscard]] static Nanoseconds monotonic_time();

 private:
  void deadline_moved() override {
    if (listener_) listener_();
  }

  Source source_;
  std::function<void()> listener_;
  Nanoseconds elapsed_ = 0;
  Nanoseconds started_ = 0;  // by source_, while running
  bool running_ = false;
};

}  // namespace vitrine::machine
