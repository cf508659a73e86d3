// The computed counter against one that really counts, pulse by pulse, as the data sheet tells it, under
// random writes and gate changes.
#include <gtest/gtest.h>

#include <random>

#include "devices/pit8254.h"

namespace vitrine::devices {
namespace {

using Mode = PitCounter::Mode;

struct SteppedCounter {
  Mode mode = Mode::InterruptOnTerminalCount;
  uint32_t count_register = 0, element = 0;
  bool gate = true, output = false, counting = false, load = false, written = false, strobe = false;
  uint64_t rises = 0;

  [[nodiscard]] bool periodic() const { return mode == Mode::RateGenerator || mode == Mode::SquareWave; }
  [[nodiscard]] bool triggered() const { return mode == Mode::OneShot || mode == Mode::HardwareStrobe; }

  void set_output(bool level) {
    if (level && !output) ++rises;
    output = level;
  }
  void control(Mode new_mode) {
    mode = new_mode;
    output = mode != Mode::InterruptOnTerminalCount;
    counting = load = written = strobe = false;
  }
  void write(uint32_t count) {
    count_register = count;
    const bool first = !written;
    written = true;
    if (triggered() || (periodic() && !first)) return;
    load = true;
    if (mode == Mode::InterruptOnTerminalCount) {
      counting = false;
      output = false;
    }
  }
  void set_gate(bool level) {
    const bool rising = level && !gate;
    gate = level;
    if (periodic() && !level) output = true;  // no edge that anybody counts
    if (rising && written && (periodic() || triggered())) load = true;
  }
  void start() {
    load = false;
    counting = true;
    strobe = true;
    element = mode == Mode::SquareWave ? count_register & ~1u : count_register;
    if (mode == Mode::OneShot) output = false;
    if (mode != Mode::OneShot && mode != Mode::InterruptOnTerminalCount) set_output(true);
  }
  void pulse() {
    if (load) return start();
    if (!counting || (!gate && !triggered())) return;
    if (mode == Mode::SquareWave) return pulse_square();
    if (mode == Mode::RateGenerator && element == 1) {
      element = count_register;
      return set_output(true);
    }
    element = (element - 1) & 0xffff;
    switch (mode) {
      case Mode::RateGenerator: output = element != 1; break;
      case Mode::InterruptOnTerminalCount:
      case Mode::OneShot:
        if (element == 0) set_output(true);
        break;
      default:
        set_output(!(strobe && element == 0));
        if (element == 0) strobe = false;
    }
  }
  void pulse_square() {
    const bool odd = (wave_count & 1) != 0;
    const bool half_ends = odd && output ? element == 0 : element == 2;
    if (!half_ends) {
      element -= 2;
      return;
    }
    set_output(!output);
    wave_count = count_register;
    element = count_register & ~1u;
  }
  uint32_t wave_count = 0;  // the count that the present half was loaded from
};

class PitReferenceTest : public testing::TestWithParam<int> {};

TEST_P(PitReferenceTest, AgreesAtEveryPulse) {
  const auto mode = static_cast<Mode>(GetParam());
  std::mt19937 random(1234 + static_cast<unsigned>(GetParam()));
  const auto chance = [&](unsigned one_in) { return random() % one_in == 0; };
  PitCounter computed;
  SteppedCounter stepped;
  uint64_t now = 1000, rises = 0;
  const auto restart = [&] {
    computed.write_control(now, static_cast<uint8_t>(0x30 | GetParam() << 1));
    stepped.control(mode);
  };
  const auto write = [&] {
    const uint32_t count = 3 + random() % 9;
    computed.write(now, static_cast<uint8_t>(count));
    computed.write(now, 0);
    stepped.write(count);
  };
  restart();
  write();
  for (int step = 0; step < 200'000; ++step) {
    ++now;
    const bool loading = stepped.load;
    stepped.pulse();
    if (loading) stepped.wave_count = stepped.count_register;
    rises += computed.take_rising_edges(now);
    ASSERT_EQ(computed.output(now), stepped.output) << "at step " << step;
    ASSERT_EQ(rises, stepped.rises) << "at step " << step;
    computed.latch_count(now);
    const unsigned low = computed.read(now);
    const unsigned count = computed.read(now) << 8 | low;
    if (stepped.counting && !stepped.load) {
      ASSERT_EQ(count, stepped.element) << "at step " << step;
    }
    if (const auto next = computed.next_change(now)) {
      ASSERT_GT(*next, now);
    }

    if (chance(40)) write();
    if (chance(30)) {
      computed.set_gate(now, !stepped.gate);
      stepped.set_gate(!stepped.gate);
    }
    if (chance(500)) {
      restart();
      write();
    }
    stepped.rises = rises += computed.take_rising_edges(now);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryMode, PitReferenceTest, testing::Range(0, 6));

}  // namespace
}  // namespace vitrine::devices
