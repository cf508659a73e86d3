#include "devices/system_control_ports.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine::devices {
namespace {

class SystemControlPortsTest : public testing::Test {
 protected:
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(ports.read_port(port, 1)); }
  void out(uint16_t port, uint8_t value) { ports.write_port(port, 1, value); }

  ManualClock clock;
  Pit8254 pit{clock, IrqLine()};
  std::vector<bool> a20;
  int resets = 0;
  SystemControlPorts ports{clock, pit, {[this](bool open) { a20.push_back(open); }, [this] { ++resets; }}};
};

TEST_F(SystemControlPortsTest, GateAndOutputOfCounterTwo) {
  pit.write_port(0x43, 1, 0xb0);  // mode 0
  pit.write_port(0x42, 1, 0x0a);
  pit.write_port(0x42, 1, 0x00);
  clock.advance(1'000'000);
  EXPECT_EQ(in(0x61) & 0x2f, 0);
  out(0x61, 0x01);
  EXPECT_EQ(in(0x61) & 0x2f, 0x01);
  clock.advance(5'000);
  EXPECT_EQ(in(0x61) & 0x20, 0);
  clock.advance(5'000);
  EXPECT_EQ(in(0x61) & 0x20, 0x20);
  EXPECT_FALSE(ports.speaker_on());
  out(0x61, 0xf3);
  EXPECT_EQ(in(0x61) & 0x8f, 0x03);
  EXPECT_TRUE(ports.speaker_on());
}

TEST_F(SystemControlPortsTest, RefreshTogglesEveryFifteenMicroseconds) {
  int changes = 0;
  uint8_t last = in(0x61) & 0x10;
  for (int i = 0; i < 1000; ++i) {
    clock.advance(1'000);
    const uint8_t now = in(0x61) & 0x10;
    if (now != last) ++changes;
    last = now;
  }
  EXPECT_EQ(changes, 66);  // 1 ms / 15.0857 µs
}

TEST_F(SystemControlPortsTest, Port92) {
  EXPECT_EQ(in(0x92), 0);
  out(0x92, 0x02);
  out(0x92, 0x02);
  EXPECT_EQ(in(0x92), 0x02);
  out(0x92, 0x00);
  EXPECT_EQ(a20, (std::vector<bool>{true, false}));
  EXPECT_EQ(resets, 0);
  out(0x92, 0x01);
  out(0x92, 0x01);
  EXPECT_EQ(resets, 1);
  out(0x92, 0x00);
  out(0x92, 0x03);
  EXPECT_EQ(resets, 2);
  EXPECT_TRUE(ports.fast_a20());
}

}  // namespace
}  // namespace vitrine::devices
