#include "devices/local_apic_timer.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine::devices {
namespace {

using Mode = LocalApicTimer::Mode;
using Interrupts = LocalApicTimer::Interrupts;

constexpr uint32_t kDivideBy1 = 0x0b;
constexpr uint32_t kDivideBy16 = 0x03;

class LocalApicTimerTest : public testing::Test {
 protected:
  ManualClock clock;
  std::vector<Nanoseconds> fired;
  LocalApicTimer timer{clock, [this] { fired.push_back(clock.now()); }, [](uint64_t tsc) { return tsc / 2; }};
};

TEST_F(LocalApicTimerTest, OneShot) {
  timer.configure(Mode::OneShot, Interrupts::Open);
  timer.set_divide(kDivideBy16);
  timer.set_initial_count(10'000);
  EXPECT_EQ(timer.current_count(), 10'000u);
  clock.advance(16 * 4'000);
  EXPECT_EQ(timer.current_count(), 6'000u);
  clock.advance(16 * 6'000 - 1);
  EXPECT_TRUE(fired.empty());
  clock.advance(1'000'000);
  EXPECT_EQ(fired, (std::vector<Nanoseconds>{160'000}));
  EXPECT_EQ(timer.current_count(), 0u);
  EXPECT_EQ(timer.initial_count(), 10'000u);
}

TEST_F(LocalApicTimerTest, Dividers) {
  const std::vector<std::pair<uint32_t, uint32_t>> dividers = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                                                               {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
  for (const auto& [code, divisor] : dividers) {
    timer.set_divide(code);
    timer.set_initial_count(1000);
    clock.advance(uint64_t{divisor} * 100);
    EXPECT_EQ(timer.current_count(), 900u) << divisor;
  }
}

TEST_F(LocalApicTimerTest, PeriodicKeepsToItsGrid) {
  timer.configure(Mode::Periodic, Interrupts::Open);
  timer.set_divide(kDivideBy1);
  timer.set_initial_count(1'000'000);
  clock.advance(3'500'000);
  EXPECT_EQ(fired, (std::vector<Nanoseconds>{1'000'000, 2'000'000, 3'000'000}));
  EXPECT_EQ(timer.current_count(), 500'000u);
  timer.set_initial_count(0);
  clock.advance(10'000'000);
  EXPECT_EQ(fired.size(), 3u);
}

TEST_F(LocalApicTimerTest, AMaskedTimerCountsWithoutEvents) {
  timer.configure(Mode::Periodic, Interrupts::Masked);
  timer.set_divide(kDivideBy1);
  timer.set_initial_count(1'000'000);
  EXPECT_FALSE(clock.next_deadline().has_value());
  clock.advance(2'250'000);
  EXPECT_EQ(timer.current_count(), 750'000u);
  timer.configure(Mode::Periodic, Interrupts::Open);
  clock.advance(1'000'000);
  EXPECT_EQ(fired, (std::vector<Nanoseconds>{3'000'000}));
}

TEST_F(LocalApicTimerTest, ShortPeriodsMakeBoundedEvents) {
  timer.configure(Mode::Periodic, Interrupts::Open);
  timer.set_divide(kDivideBy1);
  timer.set_initial_count(1);
  clock.advance(1'000'000);
  EXPECT_LE(fired.size(), 101u);
  EXPECT_GE(fired.size(), 99u);
  EXPECT_EQ(timer.current_count(), 1u);
}

TEST_F(LocalApicTimerTest, ChangingTheDividerKeepsTheCount) {
  timer.configure(Mode::OneShot, Interrupts::Open);
  timer.set_divide(kDivideBy1);
  timer.set_initial_count(1000);
  clock.advance(400);
  timer.set_divide(kDivideBy16);
  EXPECT_EQ(timer.current_count(), 600u);
  clock.advance(16 * 600);
  EXPECT_EQ(fired, (std::vector<Nanoseconds>{400 + 16 * 600}));
}

TEST_F(LocalApicTimerTest, TscDeadline) {
  timer.set_tsc_deadline(1000);
  EXPECT_EQ(timer.tsc_deadline(), 0u);  // not in this mode
  timer.configure(Mode::TscDeadline, Interrupts::Open);
  timer.set_initial_count(5);
  EXPECT_EQ(timer.initial_count(), 0u);
  timer.set_tsc_deadline(200'000);
  EXPECT_EQ(timer.tsc_deadline(), 200'000u);
  clock.advance(1'000'000);
  EXPECT_EQ(fired, (std::vector<Nanoseconds>{100'000}));
  EXPECT_EQ(timer.tsc_deadline(), 0u);
  timer.set_tsc_deadline(10);  // long past: at once
  EXPECT_EQ(fired.size(), 2u);
  EXPECT_EQ(timer.tsc_deadline(), 0u);
  timer.configure(Mode::TscDeadline, Interrupts::Masked);
  timer.set_tsc_deadline(10);
  EXPECT_EQ(fired.size(), 2u);
  timer.configure(Mode::TscDeadline, Interrupts::Open);
  clock.advance(0);
  EXPECT_EQ(fired.size(), 3u);
  timer.set_tsc_deadline(4'000'000);
  timer.set_tsc_deadline(0);
  EXPECT_FALSE(clock.next_deadline().has_value());
}

}  // namespace
}  // namespace vitrine::devices
