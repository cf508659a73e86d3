#include "devices/piix3.h"

#include <gtest/gtest.h>

#include "devices/pci_bus.h"

namespace vitrine::devices {
namespace {

struct Isa : IrqSink {
  uint16_t levels = 0;
  void set_irq_line(unsigned line, bool level) override {
    const auto bit = static_cast<uint16_t>(1u << line);
    levels = static_cast<uint16_t>(level ? levels | bit : levels & ~bit);
  }
  std::array<IrqLine, 16> lines() {
    std::array<IrqLine, 16> all;
    for (unsigned i = 0; i < 16; ++i) all[i] = IrqLine(*this, i);
    return all;
  }
};

class Piix3Test : public testing::Test {
 protected:
  Isa isa;
  Piix3 chip{isa.lines()};
};

TEST_F(Piix3Test, HeaderSaysMultiFunctionIsaBridge) {
  EXPECT_EQ(chip.read_config(0, 4), 0x70008086u);
  EXPECT_EQ(chip.read_config(0x0a, 2), 0x0601u);
  EXPECT_EQ(chip.read_config(0x0e, 1), 0x80u);
  EXPECT_EQ(chip.read_config(0x60, 4), 0x80808080u);
  EXPECT_EQ(chip.read_config(4, 2), 7u);
}

TEST_F(Piix3Test, RoutesALineAndFollowsTheRegister) {
  chip.set_irq_line(0, true);
  EXPECT_EQ(isa.levels, 0);
  chip.write_config(0x60, 1, 10);
  EXPECT_EQ(isa.levels, 1 << 10);
  chip.write_config(0x60, 1, 11);
  EXPECT_EQ(isa.levels, 1 << 11);
  chip.write_config(0x60, 1, 0x8b);
  EXPECT_EQ(isa.levels, 0);
}

TEST_F(Piix3Test, LinesThatShareAreOred) {
  chip.write_config(0x60, 4, 0x0b0b0a0a);
  chip.set_irq_line(0, true);
  chip.set_irq_line(1, true);
  chip.set_irq_line(0, false);
  EXPECT_EQ(isa.levels, 1 << 10);
  chip.set_irq_line(3, true);
  EXPECT_EQ(isa.levels, 1 << 10 | 1 << 11);
  chip.set_irq_line(1, false);
  EXPECT_EQ(isa.levels, 1 << 11);
}

TEST_F(Piix3Test, ReservedInterruptsAreNotRouted) {
  chip.set_irq_line(2, true);
  for (const unsigned reserved : {0u, 1u, 2u, 8u, 13u}) {
    chip.write_config(0x62, 1, reserved);
    EXPECT_EQ(isa.levels, 0) << reserved;
  }
  chip.write_config(0x62, 1, 0xff);
  EXPECT_EQ(chip.read_config(0x62, 1), 0x8fu);
}

TEST_F(Piix3Test, ResetDisablesRouting) {
  chip.write_config(0x63, 1, 5);
  chip.set_irq_line(3, true);
  EXPECT_EQ(isa.levels, 1 << 5);
  chip.reset();
  EXPECT_EQ(isa.levels, 0);
  EXPECT_EQ(chip.read_config(0x63, 1), 0x80u);
}

TEST_F(Piix3Test, LeavesNoWiresBehind) {
  struct Requester : PciDevice {
    Requester() : PciDevice({.vendor = 1, .device = 2, .interrupt_pin = 1}) {}
    using PciDevice::set_interrupt;
  } device;
  memory::PortMap ports;
  memory::PhysicalMap memory;
  PciBus bus(ports, memory);
  bus.attach(device, 1);
  {
    Piix3 bridge{isa.lines()};
    bus.attach(bridge, 2);
    bus.connect_pirqs(bridge.pirqs());
    bridge.write_config(0x60, 1, 10);
    device.set_interrupt(true);
    EXPECT_EQ(isa.levels, 1 << 10);
  }
  device.set_interrupt(false);  // must not reach the bridge that is gone
  EXPECT_EQ(isa.levels, 1 << 10);
}

TEST_F(Piix3Test, StateComesBack) {
  chip.write_config(0x61, 1, 9);
  chip.set_irq_line(1, true);
  StateArchive saved;
  chip.serialize(saved);
  Isa other_isa;
  Piix3 other{other_isa.lines()};
  StateArchive load(saved.data());
  other.serialize(load);
  ASSERT_TRUE(load.status());
  EXPECT_EQ(other_isa.levels, 1 << 9);
  other.set_irq_line(1, false);
  EXPECT_EQ(other_isa.levels, 0);
}

}  // namespace
}  // namespace vitrine::devices
