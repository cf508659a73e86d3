// Tests of RealClock and VirtualClock.
#include <gtest/gtest.h>

#include <vector>

#include "machine/real_clock.h"
#include "machine/virtual_clock.h"

namespace vitrine::machine {
namespace {

TEST(RealClock, StandsStillWhileStopped) {
  Nanoseconds host = 1000;
  RealClock clock([&] { return host; });
  EXPECT_EQ(clock.now(), 0u);
  host = 2000;
  EXPECT_EQ(clock.now(), 0u);
  clock.start();
  host = 2500;
  EXPECT_EQ(clock.now(), 500u);
  clock.start();  // running already: nothing is lost
  EXPECT_EQ(clock.now(), 500u);
  clock.stop();
  host = 9000;
  EXPECT_EQ(clock.now(), 500u);
  clock.start();
  host = 9001;
  EXPECT_EQ(clock.now(), 501u);
}

TEST(RealClock, WaitsAtADeadlineUntilItWasServed) {
  Nanoseconds host = 0;
  RealClock clock([&] { return host; });
  clock.start();
  std::vector<Nanoseconds> ticks;
  Timer* self = nullptr;
  Timer tick(clock, [&] {
    ticks.push_back(clock.now());
    self->arm(ticks.back() + 100);
  });
  self = &tick;
  tick.arm(100);
  host = 350;  // the host was late by more than two ticks
  EXPECT_EQ(clock.now(), 100u);
  EXPECT_EQ(clock.lag(), 250u);
  clock.run_due_timers();
  EXPECT_EQ(clock.now(), 200u);
  clock.run_due_timers();
  clock.run_due_timers();
  EXPECT_EQ(ticks, (std::vector<Nanoseconds>{100, 200, 300}));
  EXPECT_EQ(clock.now(), 350u);
  EXPECT_EQ(clock.lag(), 0u);
}

TEST(RealClock, DoesNotGoBackForATimerInThePast) {
  Nanoseconds host = 0;
  RealClock clock([&] { return host; });
  clock.start();
  host = 500;
  EXPECT_EQ(clock.now(), 500u);
  Timer timer(clock, [] {});
  timer.arm(200);
  EXPECT_EQ(clock.now(), 500u);
}

TEST(RealClock, JumpsOverALongLag) {
  Nanoseconds host = 0;
  RealClock clock([&] { return host; });
  clock.start();
  Timer timer(clock, [] {});
  timer.arm(100);
  host = 100 + RealClock::kLagLimit + 1;
  EXPECT_EQ(clock.now(), host);
}

TEST(RealClock, TellsWhenTheEarliestDeadlineMovesForward) {
  RealClock clock([] { return Nanoseconds{0}; });
  unsigned told = 0;
  clock.set_deadline_listener([&] { ++told; });
  Timer late(clock, [] {}), early(clock, [] {}), later(clock, [] {});
  late.arm(100);
  EXPECT_EQ(told, 1u);
  early.arm(50);
  EXPECT_EQ(told, 2u);
  later.arm(200);
  EXPECT_EQ(told, 2u);
}

TEST(VirtualClock, IsAFunctionOfExecutedInstructions) {
  uint64_t executed = 0;
  VirtualClock clock([&] { return executed; }, 10);
  executed = 7;
  EXPECT_EQ(clock.now(), 70u);
  EXPECT_EQ(clock.instructions_until(70), 0u);
  EXPECT_EQ(clock.instructions_until(71), 1u);
  EXPECT_EQ(clock.instructions_until(80), 1u);
  EXPECT_EQ(clock.instructions_until(81), 2u);
}

TEST(VirtualClock, JumpsToTheNextDeadlineWhenIdle) {
  uint64_t executed = 5;
  VirtualClock clock([&] { return executed; }, 10);
  EXPECT_FALSE(clock.skip_to_deadline());
  unsigned fired = 0;
  Timer timer(clock, [&] { ++fired; });
  timer.arm(1234);
  EXPECT_EQ(clock.run_due_timers(), 0u);
  EXPECT_TRUE(clock.skip_to_deadline());
  EXPECT_EQ(clock.now(), 1234u);
  EXPECT_FALSE(clock.skip_to_deadline());
  EXPECT_EQ(clock.run_due_timers(), 1u);
  EXPECT_EQ(fired, 1u);
  executed = 6;
  EXPECT_EQ(clock.now(), 1244u);
}

}  // namespace
}  // namespace vitrine::machine
