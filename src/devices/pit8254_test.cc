#include "devices/pit8254.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine::devices {
namespace {

// Time of a pulse of the timer's clock.
Nanoseconds at(uint64_t pulse) {
  return scale(pulse, kNanosecondsPerSecond, Pit8254::kFrequency) + 1;
}

struct EdgeCounter : IrqSink {
  explicit EdgeCounter(Clock& the_clock) : clock(the_clock) {}
  void set_irq_line(unsigned /*line*/, bool new_level) override {
    if (new_level && !level) rises.push_back(scale(clock.now(), Pit8254::kFrequency, kNanosecondsPerSecond));
    if (!new_level && level) falls.push_back(scale(clock.now(), Pit8254::kFrequency, kNanosecondsPerSecond));
    level = new_level;
  }
  Clock& clock;
  bool level = false;
  std::vector<uint64_t> rises, falls;  // in pulses
};

class PitTest : public testing::Test {
 protected:
  void out(uint16_t port, uint8_t value) { pit.write_port(port, 1, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(pit.read_port(port, 1)); }
  void go_to(uint64_t pulse) { clock.advance_to(at(pulse)); }

  // Control word for word access, then a count.
  void start(unsigned counter, unsigned mode, uint16_t count, bool bcd = false) {
    out(0x43, static_cast<uint8_t>(counter << 6 | 0x30 | mode << 1 | (bcd ? 1 : 0)));
    write_count(counter, count);
  }
  void write_count(unsigned counter, uint16_t count) {
    out(static_cast<uint16_t>(0x40 + counter), static_cast<uint8_t>(count));
    out(static_cast<uint16_t>(0x40 + counter), static_cast<uint8_t>(count >> 8));
  }
  uint16_t count(unsigned counter) {
    out(0x43, static_cast<uint8_t>(counter << 6));
    const uint8_t low = in(static_cast<uint16_t>(0x40 + counter));
    return static_cast<uint16_t>(in(static_cast<uint16_t>(0x40 + counter)) << 8 | low);
  }
  // Outputs of counter 2 at the pulses from `first` on.
  std::string wave(uint64_t first, unsigned length) {
    std::string text;
    for (unsigned i = 0; i < length; ++i) {
      go_to(first + i);
      text += pit.output(2) ? '1' : '0';
    }
    return text;
  }

  ManualClock clock;
  EdgeCounter irq{clock};
  Pit8254 pit{clock, IrqLine(irq, 0)};
};

TEST_F(PitTest, Mode0RisesOnTerminalCount) {
  go_to(100);
  start(2, 0, 4);
  EXPECT_EQ(wave(100, 8), "00000111");  // loaded at 101, zero at 105
  EXPECT_EQ(count(2), 0xfffe);          // goes on counting
  write_count(2, 3);
  EXPECT_EQ(wave(108, 5), "00011");
}

TEST_F(PitTest, Mode0FirstByteStopsTheCounting) {
  go_to(100);
  start(2, 0, 10);
  go_to(200);
  EXPECT_TRUE(pit.output(2));
  out(0x42, 5);
  EXPECT_FALSE(pit.output(2));
  go_to(300);
  EXPECT_FALSE(pit.output(2));
  out(0x42, 0);
  EXPECT_EQ(wave(304, 4), "0011");
}

TEST_F(PitTest, Mode0GateHoldsTheCount) {
  go_to(100);
  start(2, 0, 10);
  go_to(105);
  EXPECT_EQ(count(2), 6);
  pit.set_gate(2, false);
  go_to(500);
  EXPECT_EQ(count(2), 6);
  pit.set_gate(2, true);
  EXPECT_EQ(wave(505, 3), "011");
}

TEST_F(PitTest, Mode1IsARetriggerableOneShot) {
  pit.set_gate(2, false);
  go_to(100);
  start(2, 1, 3);
  EXPECT_TRUE(pit.output(2));
  go_to(110);
  EXPECT_TRUE(pit.output(2));
  pit.set_gate(2, true);
  EXPECT_EQ(wave(110, 3), "100");
  pit.set_gate(2, false);
  pit.set_gate(2, true);
  EXPECT_EQ(wave(112, 6), "000011");
}

TEST_F(PitTest, Mode2DividesByN) {
  go_to(100);
  start(2, 2, 3);
  EXPECT_EQ(wave(100, 9), "111011011");
  go_to(113);
  EXPECT_EQ(count(2), 3);
  go_to(114);
  EXPECT_EQ(count(2), 2);
  go_to(115);
  EXPECT_EQ(count(2), 1);
}

TEST_F(PitTest, Mode2TakesANewCountAtTheEndOfThePeriod) {
  go_to(100);
  start(2, 2, 4);  // periods begin at 101, 105
  go_to(102);
  write_count(2, 2);
  EXPECT_EQ(wave(102, 8), "11010101");
}

TEST_F(PitTest, Mode2GateStopsAndRestarts) {
  go_to(100);
  start(2, 2, 3);
  go_to(103);
  EXPECT_FALSE(pit.output(2));
  pit.set_gate(2, false);
  EXPECT_EQ(wave(103, 5), "11111");
  pit.set_gate(2, true);  // at 107: loaded at 108
  EXPECT_EQ(wave(107, 6), "111011");
}

TEST_F(PitTest, Mode3EvenAndOdd) {
  go_to(100);
  start(2, 3, 4);
  EXPECT_EQ(wave(101, 8), "11001100");
  go_to(200);
  start(2, 3, 5);
  EXPECT_EQ(wave(201, 10), "1110011100");
  std::vector<uint16_t> counts;
  for (uint64_t pulse = 211; pulse < 216; ++pulse) {
    go_to(pulse);
    counts.push_back(count(2));
  }
  EXPECT_EQ(counts, (std::vector<uint16_t>{4, 2, 0, 4, 2}));
}

TEST_F(PitTest, Mode3TakesANewCountAtTheHalfPeriod) {
  go_to(100);
  start(2, 3, 8);  // high 101–104, low 105–108
  go_to(102);
  write_count(2, 4);
  EXPECT_EQ(wave(102, 11), "11100110011");
}

TEST_F(PitTest, Mode4StrobesOnce) {
  go_to(100);
  start(2, 4, 3);
  EXPECT_EQ(wave(100, 8), "11110111");
  EXPECT_EQ(wave(108 + 65536 - 8, 16), std::string(16, '1'));
}

TEST_F(PitTest, Mode5StrobesAfterATrigger) {
  pit.set_gate(2, false);
  go_to(100);
  start(2, 5, 2);
  EXPECT_EQ(wave(100, 5), "11111");
  pit.set_gate(2, true);
  EXPECT_EQ(wave(104, 5), "11101");
  // The level of the gate does not matter.
  pit.set_gate(2, false);
  pit.set_gate(2, true);
  pit.set_gate(2, false);
  EXPECT_EQ(wave(108, 5), "11101");
}

TEST_F(PitTest, ModesSixAndSevenAreTwoAndThree) {
  out(0x43, 0xbc);
  EXPECT_EQ(pit.counter(2).mode(), PitCounter::Mode::RateGenerator);
  out(0x43, 0xbe);
  EXPECT_EQ(pit.counter(2).mode(), PitCounter::Mode::SquareWave);
}

TEST_F(PitTest, BcdCounting) {
  go_to(100);
  start(2, 0, 0x1000, true);
  go_to(102);
  EXPECT_EQ(count(2), 0x0999);
  start(2, 2, 0, true);  // 10000
  go_to(104);
  EXPECT_EQ(count(2), 0x9999);
  go_to(103 + 10000);
  EXPECT_EQ(count(2), 0x0000);
  start(2, 2, 0xffff, true);  // no digits: must do no harm
  go_to(20000);
  (void)count(2);
}

TEST_F(PitTest, LatchHoldsUntilRead) {
  go_to(100);
  start(2, 2, 1000);
  go_to(111);
  out(0x43, 0x80);
  go_to(200);
  out(0x43, 0x80);  // a second latch command is ignored
  EXPECT_EQ(in(0x42), 990 & 0xff);
  EXPECT_EQ(in(0x42), 990 >> 8);
  EXPECT_EQ(in(0x42), 901 & 0xff);  // live again
}

TEST_F(PitTest, ByteAccess) {
  go_to(100);
  out(0x43, 0xa4);  // counter 2, high byte only, mode 2
  out(0x42, 0x02);
  go_to(101);
  EXPECT_EQ(in(0x42), 0x02);
  go_to(102);
  EXPECT_EQ(in(0x42), 0x01);
  out(0x43, 0x94);  // low byte only
  out(0x42, 0x20);
  go_to(104);
  EXPECT_EQ(in(0x42), 0x1f);
}

TEST_F(PitTest, ReadBack) {
  go_to(100);
  start(0, 2, 500);
  out(0x43, 0xbb);  // counter 2: word, mode 5, BCD
  go_to(200);
  out(0x43, 0xca);  // count and status of counters 0 and 2
  go_to(300);
  EXPECT_EQ(in(0x40), 0xb4);  // output high, word, mode 2
  EXPECT_EQ(in(0x40), 401 & 0xff);
  EXPECT_EQ(in(0x40), 401 >> 8);
  EXPECT_EQ(in(0x42), 0xfb);  // null count: nothing written yet
  out(0x43, 0xe2);            // status alone
  EXPECT_EQ(in(0x40), 0xb4);
  out(0x43, 0xd2);  // count alone
  EXPECT_EQ(in(0x40), 301 & 0xff);
}

TEST_F(PitTest, NullCountUntilLoaded) {
  go_to(100);
  start(2, 2, 10);
  out(0x43, 0xe8);
  EXPECT_EQ(in(0x42) & 0x40, 0x40);
  go_to(101);
  out(0x43, 0xe8);
  EXPECT_EQ(in(0x42) & 0x40, 0);
}

TEST_F(PitTest, CounterZeroInterruptsWithoutDrift) {
  go_to(1000);
  start(0, 2, 11932);
  irq.rises.clear();
  clock.advance(10 * kNanosecondsPerSecond);
  ASSERT_EQ(irq.rises.size(), 999u);  // 11,931,820 pulses
  for (size_t i = 0; i < irq.rises.size(); ++i) EXPECT_EQ(irq.rises[i], 1001 + 11932 * (i + 1));
  EXPECT_EQ(pit.missed_edges(), 0u);
}

TEST_F(PitTest, SquareWaveDrivesBothEdges) {
  go_to(100);
  start(0, 3, 1000);
  irq.rises.clear();
  irq.falls.clear();
  go_to(3200);
  EXPECT_EQ(irq.falls, (std::vector<uint64_t>{601, 1601, 2601}));
  EXPECT_EQ(irq.rises, (std::vector<uint64_t>{1101, 2101, 3101}));
}

TEST_F(PitTest, OneShotsOnCounterZero) {
  go_to(100);
  start(0, 0, 50);
  EXPECT_EQ(irq.rises.size(), 0u);
  go_to(1000);
  EXPECT_EQ(irq.rises, (std::vector<uint64_t>{151}));
  start(0, 4, 50);
  irq.rises.clear();
  go_to(2000);
  EXPECT_EQ(irq.rises, (std::vector<uint64_t>{1052}));
}

// A clock whose timers are run late.
class LazyClock : public Clock {
 public:
  [[nodiscard]] Nanoseconds now() const override { return time; }
  Nanoseconds time = 0;
};

TEST(PitLateTest, LateTimersDeliverOneEdgeAndKeepTheGrid) {
  LazyClock clock;
  EdgeCounter irq(clock);
  Pit8254 pit(clock, IrqLine(irq, 0));
  pit.write_port(0x43, 1, 0x34);
  pit.write_port(0x40, 1, 1000 & 0xff);
  pit.write_port(0x40, 1, 1000 >> 8);
  clock.time = at(5);
  clock.run_due_timers();
  irq.rises.clear();
  clock.time = at(4501);  // edges at 1001, 2001, 3001, 4001 are overdue
  clock.run_due_timers();
  EXPECT_EQ(irq.rises.size(), 1u);
  EXPECT_EQ(pit.missed_edges(), 3u);
  clock.run_due_timers();
  EXPECT_EQ(irq.rises.size(), 1u);
  EXPECT_EQ(clock.next_deadline(), at(5001));
  // A guest that writes before a late timer has run does not lose the edge, nor get it twice.
  clock.time = at(5400);
  pit.write_port(0x43, 1, 0x00);
  EXPECT_EQ(irq.rises.size(), 2u);
  clock.run_due_timers();
  EXPECT_EQ(irq.rises.size(), 2u);
}

TEST_F(PitTest, AControlWordAfterTheTerminalCountIsNoEdge) {
  start(0, 0, 50);
  go_to(100);
  ASSERT_EQ(irq.rises.size(), 1u);
  start(0, 0, 50);
  EXPECT_EQ(irq.rises.size(), 1u);
  go_to(1000);
  EXPECT_EQ(irq.rises.size(), 2u);
  EXPECT_EQ(pit.missed_edges(), 0u);
}

TEST_F(PitTest, SavesAndRestores) {
  go_to(100);
  start(0, 2, 1000);
  start(2, 3, 77);
  out(0x43, 0x80);
  go_to(600);
  StateArchive saved;
  pit.serialize(saved);
  ManualClock other_clock;
  other_clock.advance_to(clock.now());
  EdgeCounter other_irq(other_clock);
  Pit8254 other(other_clock, IrqLine(other_irq, 0));
  StateArchive loaded(saved.data());
  other.serialize(loaded);
  ASSERT_TRUE(loaded.status().has_value());
  irq.rises.clear();
  go_to(5000);
  other_clock.advance_to(clock.now());
  EXPECT_EQ(irq.rises, other_irq.rises);
  EXPECT_EQ(irq.rises.size(), 4u);
  EXPECT_EQ(in(0x42), other.read_port(0x42, 1));
  EXPECT_EQ(in(0x42), other.read_port(0x42, 1));
  EXPECT_EQ(in(0x42), other.read_port(0x42, 1));
}

TEST_F(PitTest, AnyStateCanBeLoadedWithoutHarm) {
  start(0, 3, 1000);
  go_to(500);
  StateArchive saved;
  pit.serialize(saved);
  for (size_t i = 0; i < saved.data().size(); ++i) {
    for (uint8_t value : {0x00, 0x7f, 0xff}) {
      std::vector<uint8_t> damaged = saved.data();
      damaged[i] = value;
      StateArchive archive(damaged);
      pit.serialize(archive);
      out(0x43, 0xde);
      (void)in(0x40);
      clock.advance(10'000);
    }
  }
}

}  // namespace
}  // namespace vitrine::devices
