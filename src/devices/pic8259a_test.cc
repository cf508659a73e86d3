#include "devices/pic8259a.h"

#include <gtest/gtest.h>

#include "devices/irq_sink_for_test.h"

namespace vitrine::devices {
namespace {

class PicTest : public testing::Test {
 protected:
  void SetUp() override { initialize(0x01, 0x01); }

  void out(uint16_t port, uint8_t value) { pic.write_port(port, 1, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(pic.read_port(port, 1)); }

  void initialize(uint8_t master_icw4, uint8_t slave_icw4, uint8_t icw1 = 0x11) {
    out(0x20, icw1);
    out(0x21, 0x20);
    out(0x21, 0x04);
    out(0x21, master_icw4);
    out(0xa0, icw1);
    out(0xa1, 0x28);
    out(0xa1, 0x02);
    out(0xa1, slave_icw4);
  }
  void pulse(unsigned line) {
    pic.set_irq_line(line, true);
    pic.set_irq_line(line, false);
  }
  uint8_t irr(uint16_t port = 0x20) {
    out(port, 0x0a);
    return in(port);
  }
  uint8_t isr(uint16_t port = 0x20) {
    out(port, 0x0b);
    return in(port);
  }

  IrqSinkForTest intr;
  PicPair pic{IrqLine(intr, 0)};
};

TEST_F(PicTest, AnEdgeIsLatchedAndServedOnce) {
  EXPECT_FALSE(intr.level);
  pulse(3);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(irr(), 0x08);
  EXPECT_EQ(pic.acknowledge(), 0x23);
  EXPECT_FALSE(intr.level);
  EXPECT_EQ(irr(), 0);
  EXPECT_EQ(isr(), 0x08);
  out(0x20, 0x20);
  EXPECT_EQ(isr(), 0);
  EXPECT_FALSE(intr.level);
  EXPECT_EQ(pic.delivered()[3], 1u);
}

TEST_F(PicTest, AHighEdgeLineInterruptsOnlyOnce) {
  pic.set_irq_line(5, true);
  EXPECT_EQ(pic.acknowledge(), 0x25);
  out(0x20, 0x20);
  pic.set_irq_line(5, true);
  EXPECT_FALSE(intr.level);
  pic.set_irq_line(5, false);
  pic.set_irq_line(5, true);
  EXPECT_TRUE(intr.level);
}

TEST_F(PicTest, FullyNestedPriorities) {
  pulse(6);
  pulse(1);
  EXPECT_EQ(pic.acknowledge(), 0x21);
  EXPECT_FALSE(intr.level);  // 6 waits for the end of 1
  pulse(0);
  EXPECT_TRUE(intr.level);  // 0 does not
  EXPECT_EQ(pic.acknowledge(), 0x20);
  out(0x20, 0x20);
  EXPECT_EQ(isr(), 0x02);
  EXPECT_FALSE(intr.level);
  out(0x20, 0x61);
  EXPECT_EQ(pic.acknowledge(), 0x26);
}

TEST_F(PicTest, MasksHoldRequestsBack) {
  out(0x21, 0x10);
  EXPECT_EQ(in(0x21), 0x10);
  pulse(4);
  EXPECT_FALSE(intr.level);
  EXPECT_EQ(irr(), 0x10);
  out(0x21, 0);
  EXPECT_TRUE(intr.level);
}

TEST_F(PicTest, CascadeNeedsTwoEndsOfInterrupt) {
  pulse(12);
  EXPECT_EQ(pic.acknowledge(), 0x2c);
  EXPECT_EQ(isr(0x20), 0x04);
  EXPECT_EQ(isr(0xa0), 0x10);
  pulse(14);
  pulse(8);  // higher than 12 on the slave, but the master has IR2 in service
  EXPECT_FALSE(intr.level);
  out(0xa0, 0x20);
  EXPECT_FALSE(intr.level);
  out(0x20, 0x20);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x28);
  out(0xa0, 0x20);
  out(0x20, 0x20);
  EXPECT_EQ(pic.acknowledge(), 0x2e);
}

TEST_F(PicTest, TheSlaveRanksAsInputTwo) {
  pulse(3);
  pulse(15);
  pulse(1);
  EXPECT_EQ(pic.acknowledge(), 0x21);
  out(0x20, 0x20);
  EXPECT_EQ(pic.acknowledge(), 0x2f);
  out(0xa0, 0x20);
  out(0x20, 0x20);
  EXPECT_EQ(pic.acknowledge(), 0x23);
}

TEST_F(PicTest, SpecialFullyNestedLetsHigherSlaveRequestsThrough) {
  initialize(0x11, 0x01);
  pulse(12);
  EXPECT_EQ(pic.acknowledge(), 0x2c);
  pulse(13);
  EXPECT_FALSE(intr.level);
  pulse(8);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x28);
  pulse(3);
  EXPECT_FALSE(intr.level);
}

TEST_F(PicTest, LevelTriggeredLineInterruptsWhileHigh) {
  out(0x4d1, 0xff);
  EXPECT_EQ(in(0x4d1), 0xde);
  out(0x4d0, 0xff);
  EXPECT_EQ(in(0x4d0), 0xf8);
  pic.set_irq_line(11, true);
  EXPECT_EQ(pic.acknowledge(), 0x2b);
  out(0xa0, 0x20);
  out(0x20, 0x20);
  EXPECT_TRUE(intr.level);
  pic.set_irq_line(11, false);
  EXPECT_FALSE(intr.level);
  EXPECT_EQ(irr(0xa0), 0);
  EXPECT_EQ(irr(0x20), 0);
}

TEST_F(PicTest, LtimMakesTheWholeChipLevelTriggered) {
  initialize(0x01, 0x01, 0x19);
  pic.set_irq_line(1, true);
  EXPECT_TRUE(intr.level);
  pic.set_irq_line(1, false);
  EXPECT_FALSE(intr.level);
}

TEST_F(PicTest, SpuriousInterruptSetsNoServiceBit) {
  EXPECT_EQ(pic.acknowledge(), 0x27);
  EXPECT_EQ(isr(), 0);
  EXPECT_EQ(pic.spurious(), 1u);
  EXPECT_EQ(pic.delivered()[7], 0u);
}

TEST_F(PicTest, SpuriousInterruptOfTheSlaveIsInServiceAtTheMaster) {
  // The request vanishes between the two INTA pulses: only a saved state can show that moment.
  pulse(12);
  StateArchive saved;
  pic.serialize(saved);
  std::vector<uint8_t> bytes = saved.data();
  Pic8259a slave(Pic8259a::Role::Slave);
  StateArchive one_chip;
  slave.serialize(one_chip);
  StateArchive header;
  header.section("pic pair", 1);
  const size_t header_size = header.data().size();
  StateArchive chip_header;
  chip_header.section("pic8259a", 1);
  const size_t slave_irr = header_size + one_chip.data().size() + chip_header.data().size() + 1;
  ASSERT_EQ(bytes.at(slave_irr), 0x10);
  bytes[slave_irr] = 0;
  StateArchive in_archive(bytes);
  pic.serialize(in_archive);
  ASSERT_TRUE(in_archive.status().has_value());
  EXPECT_EQ(pic.acknowledge(), 0x2f);
  EXPECT_EQ(isr(0x20), 0x04);
  EXPECT_EQ(isr(0xa0), 0);
  EXPECT_EQ(pic.spurious(), 1u);
}

TEST_F(PicTest, AutomaticEndOfInterrupt) {
  initialize(0x03, 0x03);
  pulse(10);
  pulse(9);
  EXPECT_EQ(pic.acknowledge(), 0x29);
  EXPECT_EQ(isr(0x20), 0);
  EXPECT_EQ(isr(0xa0), 0);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x2a);
  EXPECT_FALSE(intr.level);
}

TEST_F(PicTest, Rotations) {
  out(0x20, 0xc3);  // set priority: 3 is lowest, 4 highest
  pulse(0);
  pulse(4);
  EXPECT_EQ(pic.acknowledge(), 0x24);
  out(0x20, 0xa0);  // rotate on non-specific EOI: 4 lowest
  EXPECT_EQ(pic.master().snapshot().lowest_priority, 4);
  EXPECT_EQ(pic.acknowledge(), 0x20);
  out(0x20, 0xe0);  // rotate on specific EOI of 0: 0 lowest
  EXPECT_EQ(pic.master().snapshot().lowest_priority, 0);
  EXPECT_EQ(isr(), 0);
  initialize(0x03, 0x01);
  out(0x20, 0x80);  // rotate in automatic EOI
  pulse(5);
  pic.acknowledge();
  EXPECT_EQ(pic.master().snapshot().lowest_priority, 5);
  out(0x20, 0x00);
  pulse(6);
  pic.acknowledge();
  EXPECT_EQ(pic.master().snapshot().lowest_priority, 5);
}

TEST_F(PicTest, SpecialMaskModeLetsLowerLevelsThrough) {
  pulse(1);
  EXPECT_EQ(pic.acknowledge(), 0x21);
  pulse(5);
  EXPECT_FALSE(intr.level);
  out(0x21, 0x02);
  EXPECT_FALSE(intr.level);
  out(0x20, 0x68);
  EXPECT_TRUE(intr.level);
  EXPECT_EQ(pic.acknowledge(), 0x25);
  out(0x20, 0x20);  // ends 5, not the masked 1
  EXPECT_EQ(isr(), 0x02);
  out(0x20, 0x48);
  out(0x20, 0x20);
  EXPECT_EQ(isr(), 0);
}

TEST_F(PicTest, PollAcknowledges) {
  out(0x20, 0x0c);
  EXPECT_EQ(in(0x20), 0x00);
  pulse(13);
  out(0x20, 0x0c);
  EXPECT_EQ(in(0x21), 0x82);
  out(0xa0, 0x0c);
  EXPECT_EQ(in(0xa0), 0x85);
  EXPECT_FALSE(intr.level);
  EXPECT_EQ(isr(0xa0), 0x20);
  EXPECT_EQ(in(0xa1), 0);  // the mask again: the poll was for one read
}

TEST_F(PicTest, InitialisationForgetsEdgesAndMasks) {
  out(0x21, 0xff);
  pic.set_irq_line(3, true);
  EXPECT_EQ(irr(), 0x08);
  initialize(0x01, 0x01);
  EXPECT_EQ(in(0x21), 0);
  EXPECT_EQ(irr(), 0);
  EXPECT_FALSE(intr.level);
}

TEST_F(PicTest, ShortInitialisationsNeedFewerWords) {
  out(0x20, 0x12);  // single, no ICW4
  out(0x21, 0x48);
  out(0x21, 0xfe);  // this is the mask already
  EXPECT_EQ(in(0x21), 0xfe);
  pulse(0);
  EXPECT_EQ(pic.acknowledge(), 0x48);
}

TEST_F(PicTest, SavesAndRestores) {
  pulse(6);
  pulse(9);
  pic.acknowledge();
  out(0x20, 0xc5);
  StateArchive saved;
  pic.serialize(saved);
  IrqSinkForTest other_wire;
  PicPair other{IrqLine(other_wire, 0)};
  StateArchive loaded(saved.data());
  other.serialize(loaded);
  ASSERT_TRUE(loaded.status().has_value());
  EXPECT_TRUE(other_wire.level);
  EXPECT_EQ(other.acknowledge(), 0x26);
}

TEST_F(PicTest, AnyStateCanBeLoadedWithoutHarm) {
  StateArchive saved;
  pic.serialize(saved);
  std::vector<uint8_t> bytes = saved.data();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::vector<uint8_t> damaged = bytes;
    damaged[i] = 0xff;
    StateArchive archive(damaged);
    pic.serialize(archive);
    pic.acknowledge();
    for (uint16_t port : {0x20, 0x21, 0xa0, 0xa1}) {
      pic.write_port(port, 1, 0x20);
      (void)pic.read_port(port, 1);
    }
  }
}

}  // namespace
}  // namespace vitrine::devices
