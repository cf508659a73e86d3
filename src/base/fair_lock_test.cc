#include "base/fair_lock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace vitrine {
namespace {

TEST(FairLock, KeepsOthersOut) {
  FairLock lock;
  unsigned inside = 0, most = 0, count = 0;
  std::vector<std::jthread> threads;
  for (unsigned n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      for (unsigned i = 0; i < 5000; ++i) {
        lock.lock();
        most = std::max(most, ++inside);
        ++count;
        --inside;
        if (i % 3 == 0) lock.yield();
        lock.unlock();
      }
    });
  }
  threads.clear();
  EXPECT_EQ(count, 20'000u);
  EXPECT_EQ(most, 1u);
}

// With a lock that only goes to who is there first, the greedy ones may well keep it among them.
TEST(FairLock, ComesToThoseWhoWaitWhileOthersTakeItAgainAndAgain) {
  FairLock lock;
  std::atomic<bool> enough{false};
  std::array<std::jthread, 2> greedy;
  for (std::jthread& thread : greedy) {
    thread = std::jthread([&] {
      while (!enough) {
        lock.lock();
        lock.unlock();
      }
    });
  }
  for (unsigned i = 0; i < 200; ++i) {
    lock.lock();
    lock.unlock();
  }
  enough = true;
}

}  // namespace
}  // namespace vitrine
