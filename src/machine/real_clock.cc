#include "machine/real_clock.h"

#include <algorithm>

#include "base/check.h"

namespace vitrine::machine {

Nanoseconds RealClock::now() const {
  if (serving()) return shown_;
  Nanoseconds time = host_time();
  const auto deadline = next_deadline();
  if (deadline && *deadline < time && time - *deadline <= kLagLimit) time = *deadline;
  shown_ = std::max(shown_, time);
  return shown_;
}

void RealClock::start() {
  if (running_) return;
  started_ = source_();
  running_ = true;
}

void RealClock::stop() {
  elapsed_ = now();
  running_ = false;
}

void RealClock::set(Nanoseconds now) {
  CHECK(!running_ && now >= elapsed_, "time is set while it stands still, and goes forward only");
  elapsed_ = shown_ = now;
}

}  // namespace vitrine::machine
