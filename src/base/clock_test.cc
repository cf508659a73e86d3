#include "base/clock.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine {
namespace {

TEST(Clock, FiresTimersInOrderOfDeadlineThenOfArming) {
  ManualClock clock;
  std::vector<int> fired;
  Timer late(clock, [&] { fired.push_back(3); });
  Timer first(clock, [&] { fired.push_back(1); });
  Timer second(clock, [&] { fired.push_back(2); });
  late.arm(200);
  first.arm(100);
  second.arm(100);
  clock.advance_to(199);
  EXPECT_EQ(fired, (std::vector{1, 2}));
  clock.advance_to(200);
  EXPECT_EQ(fired, (std::vector{1, 2, 3}));
  EXPECT_FALSE(clock.next_deadline().has_value());
}

TEST(Clock, PeriodicTimerSeesItsOwnDeadlines) {
  ManualClock clock;
  std::vector<Nanoseconds> times;
  Timer* self = nullptr;
  Timer timer(clock, [&] {
    times.push_back(clock.now());
    self->arm(clock.now() + 10);
  });
  self = &timer;
  timer.arm(10);
  clock.advance_to(35);
  EXPECT_EQ(times, (std::vector<Nanoseconds>{10, 20, 30}));
}

TEST(Clock, ATimerThatRearmsForThePastDoesNotLoop) {
  ManualClock clock;
  int fired = 0;
  Timer* self = nullptr;
  Timer timer(clock, [&] {
    ++fired;
    if (fired < 5) self->arm(0);
  });
  self = &timer;
  timer.arm(0);
  EXPECT_EQ(clock.run_due_timers(), 1u);
  EXPECT_EQ(fired, 1);
}

TEST(Clock, CancelledAndDestroyedTimersDoNotFire) {
  ManualClock clock;
  int fired = 0;
  {
    Timer gone(clock, [&] { ++fired; });
    gone.arm(5);
  }
  Timer cancelled(clock, [&] { ++fired; });
  cancelled.arm(5);
  cancelled.cancel();
  clock.advance_to(10);
  EXPECT_EQ(fired, 0);
}

}  // namespace
}  // namespace vitrine
