#include "devices/rtc_mc146818.h"

#include <gtest/gtest.h>

#include "devices/irq_sink_for_test.h"

namespace vitrine::devices {
namespace {

constexpr Nanoseconds kSecond = kNanosecondsPerSecond;
constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr int64_t kBase = 951'782'385;  // Monday 28 February 2000, 23:59:45

class RtcTest : public testing::Test {
 protected:
  uint8_t get(uint8_t index) {
    rtc.write_port(0x70, 1, index);
    return static_cast<uint8_t>(rtc.read_port(0x71, 1));
  }
  void set(uint8_t index, uint8_t value) {
    rtc.write_port(0x70, 1, index);
    rtc.write_port(0x71, 1, value);
  }
  // Century, year, month, day, hour, minute, second.
  std::vector<int> date() {
    std::vector<int> values;
    for (uint8_t index : {0x32, 9, 8, 7, 4, 2, 0}) values.push_back(get(index));
    return values;
  }

  ManualClock clock;
  IrqSinkForTest irq;
  RtcMc146818 rtc{clock, IrqLine(irq, 8), kBase};
};

TEST_F(RtcTest, ShowsTheDateInBcdAndBinary) {
  EXPECT_EQ(date(), (std::vector{0x20, 0x00, 0x02, 0x28, 0x23, 0x59, 0x45}));
  EXPECT_EQ(get(6), 2);  // Monday
  set(0x0b, 0x06);
  EXPECT_EQ(date(), (std::vector{20, 0, 2, 28, 23, 59, 45}));
  clock.advance(15 * kSecond);
  EXPECT_EQ(date(), (std::vector{20, 0, 2, 29, 0, 0, 0}));
  EXPECT_EQ(get(6), 3);
  clock.advance(24 * 3600 * kSecond);
  EXPECT_EQ(date(), (std::vector{20, 0, 3, 1, 0, 0, 0}));
  EXPECT_EQ(rtc.unix_seconds(), kBase + 15 + 24 * 3600);
}

TEST_F(RtcTest, TwelveHourMode) {
  set(0x0b, 0x00);
  EXPECT_EQ(get(4), 0x91);  // 11 in the afternoon
  clock.advance(15 * kSecond);
  EXPECT_EQ(get(4), 0x12);  // midnight is 12
  clock.advance(12 * 3600 * kSecond);
  EXPECT_EQ(get(4), 0x92);  // noon
  set(4, 0x83);
  set(0x0b, 0x02);
  EXPECT_EQ(get(4), 0x15);
}

TEST_F(RtcTest, SetStopsTheClockAndTakesANewDate) {
  set(0x0b, 0x82);
  clock.advance(10 * kSecond);
  EXPECT_EQ(get(0), 0x45);
  EXPECT_EQ(get(0x0a) & 0x80, 0);
  set(0x32, 0x19);
  set(9, 0x99);
  set(8, 0x12);
  set(7, 0x31);
  set(4, 0x23);
  set(2, 0x59);
  set(0, 0x58);
  set(6, 0x06);  // a Friday
  set(0x0b, 0x02);
  EXPECT_EQ(date(), (std::vector{0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58}));
  clock.advance(2 * kSecond);
  EXPECT_EQ(date(), (std::vector{0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00}));
  EXPECT_EQ(get(6), 7);
  EXPECT_EQ(rtc.unix_seconds(), 946'684'800);
}

TEST_F(RtcTest, TheDayOfTheWeekIsTheGuestsOwn) {
  set(6, 5);
  EXPECT_EQ(get(6), 5);
  clock.advance(15 * kSecond);
  EXPECT_EQ(get(6), 6);
}

TEST_F(RtcTest, SenselessDatesDoNoHarm) {
  for (unsigned value = 0; value < 256; ++value) {
    for (uint8_t index : {0, 2, 4, 6, 7, 8, 9, 0x32}) {
      set(index, static_cast<uint8_t>(value));
      clock.advance(kSecond);
      (void)date();
    }
  }
}

TEST_F(RtcTest, UpdateInProgressComesBeforeTheSecond) {
  clock.advance(kSecond - 3 * kMillisecond);
  EXPECT_EQ(get(0x0a), 0x26);
  clock.advance(kMillisecond);
  EXPECT_EQ(get(0x0a), 0xa6);
  EXPECT_EQ(get(0), 0x45);
  clock.advance(2 * kMillisecond - 1);
  EXPECT_EQ(get(0x0a), 0xa6);
  EXPECT_EQ(get(0), 0x45);
  clock.advance(1);
  EXPECT_EQ(get(0x0a), 0x26);
  EXPECT_EQ(get(0), 0x46);
}

TEST_F(RtcTest, DividerResetMakesTheNextUpdateHalfASecondLater) {
  clock.advance(900 * kMillisecond);
  set(0x0a, 0x76);
  clock.advance(5 * kSecond);
  EXPECT_EQ(get(0), 0x45);
  set(0x0a, 0x26);
  clock.advance(499 * kMillisecond);
  EXPECT_EQ(get(0), 0x45);
  clock.advance(2 * kMillisecond);
  EXPECT_EQ(get(0), 0x46);
}

TEST_F(RtcTest, PeriodicInterrupt) {
  set(0x0b, 0x42);
  EXPECT_EQ(irq.rises, 0u);
  for (int i = 0; i < 1024; ++i) {
    ASSERT_TRUE(clock.next_deadline().has_value());
    clock.advance_to(*clock.next_deadline());
    EXPECT_TRUE(irq.level);
    EXPECT_EQ(get(0x0c) & 0xe0, 0xc0);
    EXPECT_FALSE(irq.level);
  }
  EXPECT_EQ(irq.rises, 1024u);
  EXPECT_EQ(clock.now() / 1000, kSecond / 1000);  // no drift
  EXPECT_EQ(get(0x0c) & 0xc0, 0);
}

TEST_F(RtcTest, PeriodicRates) {
  for (const auto& [rate, expected] : {std::pair{1, 256}, {2, 128}, {3, 8192}, {9, 128}, {15, 2}}) {
    set(0x0a, static_cast<uint8_t>(0x20 | rate));
    set(0x0b, 0x42);
    (void)get(0x0c);
    const Nanoseconds end = clock.now() + kSecond;
    int count = 0;
    while (clock.next_deadline() && *clock.next_deadline() <= end) {
      clock.advance_to(*clock.next_deadline());
      if ((get(0x0c) & 0x40) != 0) ++count;
    }
    clock.advance_to(end);
    EXPECT_NEAR(count, expected, 1) << rate;
  }
  set(0x0a, 0x20);
  EXPECT_FALSE(clock.next_deadline().has_value());
}

TEST_F(RtcTest, AnUnreadInterruptCostsNoTimers) {
  set(0x0b, 0x42);
  clock.advance(kSecond);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(irq.rises, 1u);
  EXPECT_FALSE(clock.next_deadline().has_value());
}

TEST(RtcLateTest, ATickThatAReadFindsMakesNoEdge) {
  struct LateClock : Clock {
    [[nodiscard]] Nanoseconds now() const override { return time; }
    Nanoseconds time = 0;
  } clock;
  struct Edges : IrqSink {
    void set_irq_line(unsigned /*line*/, bool level) override { rises += level ? 1 : 0; }
    unsigned rises = 0;
  } irq;
  RtcMc146818 rtc(clock, IrqLine(irq, 8), kBase);
  rtc.write_port(0x70, 1, 0x0b);
  rtc.write_port(0x71, 1, 0x42);  // PIE
  clock.time = kMillisecond;      // a tick is overdue
  rtc.write_port(0x70, 1, 0x0c);
  EXPECT_EQ(rtc.read_port(0x71, 1), 0xc0u);
  clock.run_due_timers();
  EXPECT_EQ(irq.rises, 0u);
  clock.time = 2 * kMillisecond;
  clock.run_due_timers();
  EXPECT_EQ(irq.rises, 1u);
}

TEST_F(RtcTest, UpdateEndedInterrupt) {
  set(0x0b, 0x12);
  clock.advance(kSecond - 1);
  EXPECT_FALSE(irq.level);
  clock.advance(1);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(get(0), 0x46);
  EXPECT_EQ(get(0x0c) & 0x90, 0x90);
  clock.advance(kSecond);
  EXPECT_EQ(irq.rises, 2u);
  set(0x0b, 0x92);  // SET clears UIE
  EXPECT_EQ(get(0x0b), 0x82);
  EXPECT_FALSE(irq.level);
}

TEST_F(RtcTest, FlagsAppearWithoutInterrupts) {
  clock.advance(2 * kSecond);
  EXPECT_EQ(get(0x0c), 0x50);
  EXPECT_EQ(get(0x0c), 0x00);
  clock.advance(kMillisecond);
  EXPECT_EQ(get(0x0c), 0x40);
}

TEST_F(RtcTest, Alarm) {
  set(1, 0x30);
  set(3, 0x10);
  set(5, 0x01);
  set(0x0b, 0x22);
  (void)get(0x0c);
  const Nanoseconds due = (15 + 3600 + 10 * 60 + 30) * kSecond;
  EXPECT_EQ(clock.next_deadline(), due);
  clock.advance_to(due - 1);
  EXPECT_FALSE(irq.level);
  clock.advance_to(due);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(get(0x0c) & 0xa0, 0xa0);
  EXPECT_EQ(clock.next_deadline(), due + 24 * 3600 * kSecond);
}

TEST_F(RtcTest, AlarmWithDontCareBytes) {
  set(1, 0xc0);
  set(3, 0xff);
  set(5, 0xc0);
  set(0x0b, 0x22);
  EXPECT_EQ(clock.next_deadline(), kSecond);
  set(1, 0x50);
  EXPECT_EQ(clock.next_deadline(), 5 * kSecond);
  set(1, 0x77);  // never
  EXPECT_FALSE(clock.next_deadline().has_value());
}

TEST_F(RtcTest, AlarmFoundLate) {
  set(1, 0x50);
  set(3, 0x59);
  set(5, 0x23);
  clock.advance(60 * kSecond);
  EXPECT_EQ(get(0x0c) & 0x20, 0x20);
}

TEST_F(RtcTest, MemoryAndReadOnlyRegisters) {
  for (unsigned index = 0x0e; index < 128; ++index) {
    if (index != 0x32) set(static_cast<uint8_t>(index | 0x80), static_cast<uint8_t>(index ^ 0x5a));
  }
  for (unsigned index = 0x0e; index < 128; ++index) {
    if (index == 0x32) continue;
    EXPECT_EQ(get(static_cast<uint8_t>(index)), index ^ 0x5a);
  }
  set(0x0d, 0);
  EXPECT_EQ(get(0x0d), 0x80);
  rtc.set_cmos(0x10, 0x44);
  EXPECT_EQ(get(0x10), 0x44);
  rtc.set_cmos(0x00, 0x11);
  EXPECT_EQ(get(0), 0x45);
  EXPECT_EQ(rtc.read_port(0x70, 1), 0xffu);
}

TEST_F(RtcTest, ResetDisablesInterruptsOnly) {
  set(0x0b, 0x72);
  set(0x20, 0x12);
  clock.advance(kSecond);
  EXPECT_TRUE(irq.level);
  rtc.reset();
  EXPECT_FALSE(irq.level);
  EXPECT_EQ(get(0x0b), 0x02);
  EXPECT_EQ(get(0x20), 0x12);
  EXPECT_EQ(get(0), 0x46);
}

TEST_F(RtcTest, SavesAndRestores) {
  clock.advance(1234 * kMillisecond);
  set(0x0b, 0x52);
  set(7, 0x03);
  StateArchive saved;
  rtc.serialize(saved);
  ManualClock other_clock;
  other_clock.advance_to(clock.now());
  IrqSinkForTest other_irq;
  RtcMc146818 other(other_clock, IrqLine(other_irq, 8), 0);
  StateArchive loaded(saved.data());
  other.serialize(loaded);
  ASSERT_TRUE(loaded.status().has_value());
  EXPECT_EQ(other.unix_seconds(), rtc.unix_seconds());
  EXPECT_EQ(other_clock.next_deadline(), clock.next_deadline());
}

TEST_F(RtcTest, AnyStateCanBeLoadedWithoutHarm) {
  set(0x0b, 0x72);
  StateArchive saved;
  rtc.serialize(saved);
  for (size_t i = 0; i < saved.data().size(); ++i) {
    for (uint8_t value : {0x00, 0x7f, 0x80, 0xff}) {
      std::vector<uint8_t> damaged = saved.data();
      damaged[i] = value;
      StateArchive archive(damaged);
      rtc.serialize(archive);
      (void)date();
      (void)get(0x0c);
      clock.advance(2 * kSecond);
    }
  }
}

}  // namespace
}  // namespace vitrine::devices
