// A lock for short sections with several threads at them all the time. Who runs may take it again at once,
// which is fastest; but who has waited for long gets it before all who have not, so that nobody starves.
#pragma once

#include <atomic>
#include <cstdint>

namespace vitrine {

class FairLock {
 public:
  FairLock() = default;
  FairLock(const FairLock&) = delete;
  FairLock& operator=(const FairLock&) = delete;

  /// Not recursive. May be taken in a signal handler, if the code that it interrupts cannot be in one of
  /// these functions.
  void lock();
  void unlock();
  /// Gives others the lock that wait for it.
  void yield();

 private:
  [[nodiscard]] bool try_take(uint32_t value);
  void wait_long();

  // 0: free; 1: taken; 2: taken, and somebody may sleep.
  std::atomic<uint32_t> state_{0};
  // Those who have waited too long. While there are any nobody else takes the lock.
  std::atomic<uint32_t> hungry_{0};
};

}  // namespace vitrine
