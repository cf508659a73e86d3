#include "devices/ide_channel.h"

#include <gtest/gtest.h>

#include "devices/ata_disk.h"
#include "devices/block_backend_for_test.h"

namespace vitrine::devices {
namespace {

constexpr uint16_t kStatus = 0x177;
constexpr uint16_t kControl = 0x376;

struct Line : IrqSink {
  bool level = false;
  void set_irq_line(unsigned line, bool now) override {
    EXPECT_EQ(line, 15u);
    level = now;
  }
};

class IdeChannelTest : public testing::Test {
 protected:
  void add(unsigned position) {
    channel.attach(position, std::make_unique<AtaDisk>(clock, disks[position], AtaIdentity{}));
  }
  void out(uint16_t port, uint32_t value, unsigned size = 1) { channel.write_port(port, size, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(channel.read_port(port, 1)); }
  void wait() { clock.advance(100'000); }

  ManualClock clock;
  Line line;
  BlockBackendForTest disks[2] = {BlockBackendForTest(1 << 20), BlockBackendForTest(2 << 20)};
  IdeChannel channel{IdeChannel::kSecondary, IrqLine(line, 15)};
};

TEST_F(IdeChannelTest, AnEmptyChannelReadsAsZeros) {
  for (uint16_t port = 0x170; port <= kStatus; ++port) EXPECT_EQ(in(port), 0) << port;
  EXPECT_EQ(in(kControl), 0);
  EXPECT_EQ(channel.read_port(0x170, 4), 0u);
  out(kStatus, 0xec);
  out(kStatus, 0x90);
  wait();
  EXPECT_FALSE(line.level);
}

TEST_F(IdeChannelTest, AnAbsentSecondDeviceHasStatusZero) {
  add(0);
  out(0x176, 0xf0);
  EXPECT_EQ(in(kStatus), 0);
  out(kStatus, 0xec);
  wait();
  EXPECT_EQ(in(kStatus), 0);
  EXPECT_FALSE(line.level);
  out(0x176, 0xe0);
  EXPECT_EQ(in(kStatus), 0x50) << "the first device took no command that was not its own";
}

TEST_F(IdeChannelTest, TheSelectedDeviceAnswers) {
  add(0);
  add(1);
  out(0x176, 0xf0);
  EXPECT_EQ(in(0x176), 0xf0);
  out(kStatus, 0xec);
  wait();
  EXPECT_TRUE(line.level);
  out(0x176, 0xe0);
  EXPECT_FALSE(line.level) << "only the selected device drives the line";
  EXPECT_EQ(in(kStatus), 0x50);
  out(0x176, 0xf0);
  EXPECT_TRUE(line.level);
  EXPECT_EQ(in(kStatus), 0x58);
  EXPECT_FALSE(line.level);
}

TEST_F(IdeChannelTest, InterruptsCanBeTurnedOffAndComeBackLate) {
  add(0);
  out(kControl, 0x02);
  out(kStatus, 0xec);
  wait();
  EXPECT_FALSE(line.level);
  out(kControl, 0x00);
  EXPECT_TRUE(line.level);
  out(kControl, 0x02);
  EXPECT_FALSE(line.level);
  EXPECT_EQ(in(kStatus), 0x58);
  out(kControl, 0x00);
  EXPECT_FALSE(line.level);
}

TEST_F(IdeChannelTest, DiagnosticReportsBothDevices) {
  add(0);
  add(1);
  out(0x176, 0xf0);
  out(kStatus, 0x90);
  EXPECT_EQ(in(kControl), 0x80);
  wait();
  EXPECT_TRUE(line.level);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(in(0x171), 0x01);
  EXPECT_EQ(in(0x176), 0x00) << "device 0 is selected";
  out(0x176, 0x10);
  EXPECT_EQ(in(0x171), 0x01);
}

TEST_F(IdeChannelTest, WideAccessesOfTheRegistersGoToEach) {
  add(0);
  out(0x172, 0x44332211, 4);
  EXPECT_EQ(in(0x172), 0x11);
  EXPECT_EQ(in(0x175), 0x44);
  EXPECT_EQ(channel.read_port(0x173, 2), 0x3322u);
}

TEST_F(IdeChannelTest, ABusyDeviceIgnoresItsRegisters) {
  add(0);
  out(0x172, 7);
  out(kStatus, 0xe5);
  out(0x172, 9);
  EXPECT_EQ(in(0x172), 7);
  wait();
  EXPECT_EQ(in(0x172), 0xff);
}

TEST_F(IdeChannelTest, SystemResetForgetsEverything) {
  add(0);
  out(kControl, 0x02);
  out(kStatus, 0xec);
  channel.reset();
  EXPECT_EQ(in(kStatus), 0x50);
  out(kStatus, 0xec);
  wait();
  EXPECT_TRUE(line.level);
  channel.reset();
  EXPECT_FALSE(line.level);
}

TEST_F(IdeChannelTest, AStateWithOtherDevicesIsRefused) {
  add(0);
  StateArchive saved;
  channel.serialize(saved);
  IdeChannel other(IdeChannel::kSecondary, IrqLine());
  StateArchive loading(saved.data());
  other.serialize(loading);
  EXPECT_FALSE(loading.status().has_value());
}

}  // namespace
}  // namespace vitrine::devices
