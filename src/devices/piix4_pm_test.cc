#include "devices/piix4_pm.h"

#include <gtest/gtest.h>

#include "devices/irq_sink_for_test.h"

namespace vitrine::devices {
namespace {

class Piix4PmTest : public testing::Test {
 protected:
  Piix4PmTest() {
    chip.write_config(0x40, 4, 0x601);
    chip.write_config(0x80, 1, 1);
  }
  uint32_t get(uint16_t port, unsigned size) { return ports.read(port, size); }
  void put(uint16_t port, unsigned size, uint32_t value) { ports.write(port, size, value); }

  ManualClock clock;
  memory::PortMap ports;
  IrqSinkForTest sci;
  int power_offs = 0;
  Piix4Pm chip{clock, ports, IrqLine(sci, 0), [this] { ++power_offs; }};
};

TEST_F(Piix4PmTest, HeaderAndFirmwareMarks) {
  EXPECT_EQ(chip.read_config(0, 4), 0x71138086u);
  EXPECT_EQ(chip.read_config(0x0a, 2), 0x0680u);
  EXPECT_EQ(chip.read_config(0x58, 4), 0x02000000u);  // SMM is taken as set up
  EXPECT_EQ(chip.read_config(0x3d, 1), 1u);
  chip.set_legacy_ports({.parallel = true, .serial1 = true, .serial2 = true});
  EXPECT_EQ(chip.read_config(0x5f, 1), 0x90u);
  EXPECT_EQ(chip.read_config(0x67, 1), 0x98u);
}

TEST_F(Piix4PmTest, TheBlockMoves) {
  EXPECT_EQ(chip.read_config(0x40, 4), 0x601u);
  put(0x602, 2, 0x100);
  chip.write_config(0x40, 4, 0xb000);
  EXPECT_FALSE(ports.mapped(0x600));
  EXPECT_EQ(get(0xb002, 2), 0x100u);
  chip.write_config(0x80, 1, 0);
  EXPECT_FALSE(ports.mapped(0xb000));
}

TEST_F(Piix4PmTest, TimerCountsAtItsRateIn24Bits) {
  EXPECT_EQ(get(0x608, 4), 0u);
  clock.advance_to(kNanosecondsPerSecond);
  EXPECT_EQ(get(0x608, 4), 3579545u);
  clock.advance_to(5 * kNanosecondsPerSecond);
  EXPECT_EQ(get(0x608, 4), 5u * 3579545u - 0x1000000u);
  EXPECT_EQ(get(0x609, 1), ((5u * 3579545u) >> 8) & 0xff);
  put(0x608, 4, 0);
  EXPECT_NE(get(0x608, 4), 0u);
}

TEST_F(Piix4PmTest, TimerOverflowSetsStatusEveryHalfPeriodAndInterrupts) {
  put(0x604, 2, 1);  // SCI_EN
  put(0x602, 2, 1);
  clock.advance_to(2'343'484'000);  // 2^23 ticks are 2.34348…s
  EXPECT_FALSE(sci.level);
  clock.advance_to(2'343'500'000);
  EXPECT_TRUE(sci.level);
  EXPECT_EQ(get(0x600, 2), 1u);
  put(0x600, 2, 1);
  EXPECT_FALSE(sci.level);
  clock.advance_to(4'686'000'000);
  EXPECT_FALSE(sci.level);
  clock.advance_to(4'687'100'000);
  EXPECT_TRUE(sci.level);
}

TEST_F(Piix4PmTest, OverflowIsSeenByPollingToo) {
  clock.advance_to(2'343'500'000);
  EXPECT_EQ(get(0x600, 2), 1u);
  put(0x600, 1, 1);
  EXPECT_EQ(get(0x600, 2), 0u);
  EXPECT_FALSE(sci.level);
}

TEST_F(Piix4PmTest, PowerButtonInterruptsOnlyInAcpiMode) {
  put(0x602, 2, 0x100);
  chip.press_power_button();
  EXPECT_EQ(get(0x600, 2), 0x100u);
  EXPECT_FALSE(sci.level);
  put(0xb2, 1, 0xf1);
  EXPECT_EQ(get(0x604, 2), 1u);
  EXPECT_TRUE(sci.level);
  put(0x600, 2, 0x100);
  EXPECT_FALSE(sci.level);
  put(0xb2, 1, 0xf0);
  EXPECT_EQ(get(0x604, 2), 0u);
  EXPECT_EQ(get(0xb2, 1), 0xf0u);
  put(0xb3, 1, 0x55);
  EXPECT_EQ(get(0xb3, 1), 0x55u);
}

TEST_F(Piix4PmTest, SoftOff) {
  put(0x604, 2, 0x1001);  // type 4, not enabled
  EXPECT_EQ(power_offs, 0);
  put(0x604, 2, 0x2000);
  EXPECT_EQ(power_offs, 1);
  EXPECT_EQ(get(0x604, 2), 0u);  // SLP_EN reads as zero
  put(0x604, 2, 0x2400);         // suspend to RAM wakes at once
  EXPECT_EQ(power_offs, 1);
  EXPECT_EQ(get(0x600, 2), 0x8000u);
  put(0x604, 2, 0x2800);
  EXPECT_EQ(power_offs, 2);
}

TEST_F(Piix4PmTest, GeneralEvents) {
  put(0xb2, 1, 0xf1);
  put(0xafe2, 2, 0x0002);
  chip.raise_general_event(1);
  EXPECT_TRUE(sci.level);
  EXPECT_EQ(get(0xafe0, 4), 0x00020002u);
  put(0xafe0, 1, 2);
  EXPECT_FALSE(sci.level);
}

TEST_F(Piix4PmTest, SmbusFindsNobody) {
  chip.write_config(0x90, 4, 0x701);
  chip.write_config(0xd2, 1, 9);
  EXPECT_EQ(get(0x700, 1), 0u);
  put(0x704, 1, 0xa1);
  put(0x702, 1, 0x48);
  EXPECT_EQ(get(0x700, 1), 4u);
  EXPECT_EQ(get(0x702, 1), 8u);
  put(0x700, 1, 4);
  EXPECT_EQ(get(0x700, 1), 0u);
}

TEST_F(Piix4PmTest, ResetClosesTheBlock) {
  put(0xb2, 1, 0xf1);
  chip.reset();
  EXPECT_FALSE(ports.mapped(0x600));
  EXPECT_EQ(chip.read_config(0x40, 4), 1u);
}

TEST_F(Piix4PmTest, StateComesBack) {
  put(0xb2, 1, 0xf1);
  put(0x602, 2, 0x100);
  chip.press_power_button();
  StateArchive saved;
  chip.serialize(saved);
  memory::PortMap other_ports;
  IrqSinkForTest other_sci;
  Piix4Pm other{clock, other_ports, IrqLine(other_sci, 0), nullptr};
  StateArchive load(saved.data());
  other.serialize(load);
  ASSERT_TRUE(load.status());
  EXPECT_TRUE(other_sci.level);
  EXPECT_EQ(other_ports.read(0x600, 2), 0x100u);
  other_ports.write(0x604, 2, 0x2000);  // no callback: nothing happens
}

}  // namespace
}  // namespace vitrine::devices
