#include "base/fair_lock.h"

#include <immintrin.h>

#include <chrono>

namespace vitrine {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Sections are mostly shorter than the way to sleep and back.
constexpr unsigned kSpins = 200;
constexpr auto kPatience = std::chrono::microseconds(100);

}  // namespace

bool FairLock::try_take(uint32_t value) {
  uint32_t free = 0;
  return state_.load(std::memory_order_relaxed) == 0 &&
         state_.compare_exchange_strong(free, value, std::memory_order_acquire, std::memory_order_relaxed);
}

void FairLock::lock() {
  for (unsigned n = 0; n < kSpins; ++n) {
    if (hungry_.load(std::memory_order_relaxed) == 0 && try_take(1)) return;
    _mm_pause();
  }
  wait_long();
}

void FairLock::wait_long() {
  const auto limit = SteadyClock::now() + kPatience;
  bool hungry = false;
  for (;;) {
    const uint32_t others = hungry_.load(std::memory_order_acquire);
    if (!hungry && others != 0) {
      if (SteadyClock::now() < limit) {
        hungry_.wait(others, std::memory_order_acquire);
        continue;
      }
    }
    if (!hungry && SteadyClock::now() >= limit) {
      hungry = true;
      hungry_.fetch_add(1, std::memory_order_acq_rel);
    }
    // Taken as 2, since others may sleep as well.
    const uint32_t before = state_.exchange(2, std::memory_order_acquire);
    if (before == 0) break;
    state_.wait(2, std::memory_order_relaxed);
  }
  if (!hungry) return;
  hungry_.fetch_sub(1, std::memory_order_acq_rel);
  hungry_.notify_all();
}

void FairLock::unlock() {
  if (state_.exchange(0, std::memory_order_release) == 2) state_.notify_all();
}

void FairLock::yield() {
  if (state_.load(std::memory_order_relaxed) != 2 && hungry_.load(std::memory_order_relaxed) == 0) return;
  unlock();
  lock();
}

}  // namespace vitrine
