// Guest time as a function of the instructions executed: every run of the same guest with the same input
// sees the same times. While all vCPUs are idle, nothing executes; then time jumps to the next deadline.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "base/clock.h"

namespace vitrine::machine {

class VirtualClock final : public Clock {
 public:
  /// `executed` gives the number of instructions executed since the machine was built, exact at any moment
  /// and never going back. `nanoseconds_per_instruction` is at least 1.
  VirtualClock(std::function<uint64_t()> executed, uint64_t nanoseconds_per_instruction);

  [[nodiscard]] Nanoseconds now() const override { return executed_() * rate_ + skipped_; }

  /// All vCPUs are idle: time jumps to the next deadline. False: there is none, or it is due already.
  bool skip_to_deadline();
  /// How many instructions may execute before `deadline` is due; at least 1 when it lies ahead, 0 when it is
  /// due.
  [[nodiscard]] uint64_t instructions_until(Nanoseconds deadline) const;

  /// Where guest time goes on from, after a saved state was loaded; not back.
  void set(Nanoseconds now);

  /// Called when the earliest deadline has moved forward: a running vCPU should look up.
  void set_deadline_listener(std::function<void()> listener) { listener_ = std::move(listener); }

 private:
  void deadline_moved() override {
    if (listener_) listener_();
  }

  std::function<uint64_t()> executed_;
  std::function<void()> listener_;
  uint64_t rate_;
  Nanoseconds skipped_ = 0;
};

}  // namespace vitrine::machine
