#include "base/clock.h"

#include <ctime>

#include "base/check.h"

namespace vitrine {

Nanoseconds monotonic_time() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Nanoseconds>(time.tv_sec) * kNanosecondsPerSecond +
         static_cast<Nanoseconds>(time.tv_nsec);
}

std::optional<Nanoseconds> Clock::next_deadline() const {
  if (armed_.empty()) return std::nullopt;
  return armed_.begin()->first.first;
}

unsigned Clock::run_due_timers() {
  unsigned fired = 0;
  // Timers armed by a callback for a time already past wait for the next call: a device that re-arms
  // itself without end must not keep the vCPUs from running.
  const uint64_t order_limit = next_order_;
  const Nanoseconds time = now();
  serving_ = time;
  auto it = armed_.begin();
  while (it != armed_.end() && it->first.first <= time) {
    if (it->first.second >= order_limit) {
      ++it;
      continue;
    }
    Timer* timer = it->second;
    armed_.erase(it);
    timer->armed_ = false;
    ++fired;
    timer->callback_();
    it = armed_.begin();  // The callback may have changed anything.
  }
  serving_.reset();
  return fired;
}

void Timer::arm(Nanoseconds deadline) {
  cancel();
  key_ = {deadline, clock_.next_order_++};
  armed_ = true;
  const auto [it, inserted] = clock_.armed_.emplace(key_, this);
  CHECK(inserted);
  if (it == clock_.armed_.begin()) clock_.deadline_moved();
}

void Timer::cancel() {
  if (!armed_) return;
  clock_.armed_.erase(key_);
  armed_ = false;
}

void ManualClock::advance_to(Nanoseconds time) {
  CHECK(time >= now_, "time goes forward only");
  while (next_deadline() && *next_deadline() <= time) {
    if (*next_deadline() > now_) now_ = *next_deadline();
    run_due_timers();
  }
  now_ = time;
}

}  // namespace vitrine
