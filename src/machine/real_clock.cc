#include "machine/real_clock.h"

#include <ctime>

#include "base/check.h"

namespace vitrine::machine {

Nanoseconds RealClock::monotonic_time() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Nanoseconds>(time.tv_sec) * kNanosecondsPerSecond +
         static_cast<Nanoseconds>(time.tv_nsec);
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
  elapsed_ = now;
}

}  // namespace vitrine::machine
