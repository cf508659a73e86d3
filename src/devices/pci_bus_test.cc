#include "devices/pci_bus.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace vitrine::devices {
namespace {

using memory::PhysicalMap;
using memory::PortMap;
using memory::PortWidth;
using memory::RamBlock;

struct Lines : IrqSink {
  std::array<bool, 4> level{};
  void set_irq_line(unsigned line, bool value) override { level.at(line) = value; }
};

class Chip : public PciDevice, public memory::PortDevice, public memory::MemoryDevice {
 public:
  explicit Chip(uint8_t pin = 1)
      : PciDevice({.vendor = 0x1234,
                   .device = 0x5678,
                   .class_code = 0x010203,
                   .revision = 4,
                   .subsystem_vendor = 0x1af4,
                   .subsystem = 0x1100,
                   .interrupt_pin = pin}) {
    define_io_bar(0, 0x20, *this, PortWidth::Dword);
    define_memory_bar(1, 0x2000, *this);
    define_memory_bar(2, 0x4000, *this, 0x100, Prefetch::Yes, BarWidth::Bits64);
    define_rom_bar(*rom);
    rom->data()[0] = 0x55;
  }
  uint32_t read_port(uint16_t port, unsigned) override { return port; }
  void write_port(uint16_t port, unsigned, uint32_t) override { ports.push_back(port); }
  uint64_t read_memory(uint64_t offset, unsigned) override { return offset; }
  void write_memory(uint64_t, unsigned, uint64_t) override {}
  void bar_changed(unsigned index, std::optional<uint64_t> address) override {
    changes.emplace_back(index, address);
  }
  void command_changed(uint16_t value) override { commands.push_back(value); }

  using PciDevice::add_capability;
  using PciDevice::dma_read;
  using PciDevice::dma_write;
  using PciDevice::set_interrupt;

  std::unique_ptr<RamBlock> rom = RamBlock::create("rom", 0x8000).value();
  std::vector<uint16_t> ports;
  std::vector<uint16_t> commands;
  std::vector<std::pair<unsigned, std::optional<uint64_t>>> changes;
};

class PciBusTest : public testing::Test {
 protected:
  void select(unsigned slot, unsigned function, unsigned offset) {
    ports.write(0xcf8, 4, 0x80000000 | slot << 11 | function << 8 | (offset & 0xfc));
  }
  uint32_t get(unsigned offset, unsigned size, unsigned slot = 3, unsigned function = 0) {
    select(slot, function, offset);
    return ports.read(static_cast<uint16_t>(0xcfc + (offset & 3)), size);
  }
  void put(unsigned offset, unsigned size, uint32_t value, unsigned slot = 3, unsigned function = 0) {
    select(slot, function, offset);
    ports.write(static_cast<uint16_t>(0xcfc + (offset & 3)), size, value);
  }

  PortMap ports;
  PhysicalMap memory;
  PciBus bus{ports, memory};
};

TEST_F(PciBusTest, AbsentFunctionsReadOnes) {
  EXPECT_EQ(get(0, 4), 0xffffffffu);
  ports.write(0xcf8, 4, 0x80010000);  // bus 1
  EXPECT_EQ(ports.read(0xcfc, 4), 0xffffffffu);
  put(0, 4, 1);
}

TEST_F(PciBusTest, HeaderReadsInEveryWidth) {
  Chip chip;
  bus.attach(chip, 3);
  EXPECT_EQ(get(0, 4), 0x56781234u);
  EXPECT_EQ(get(2, 2), 0x5678u);
  EXPECT_EQ(get(3, 1), 0x56u);
  EXPECT_EQ(get(8, 4), 0x01020304u);
  EXPECT_EQ(get(0x2c, 4), 0x11001af4u);
  EXPECT_EQ(get(0x3d, 1), 1u);
  put(0, 4, 0);
  EXPECT_EQ(get(0, 4), 0x56781234u);
  ports.write(0xcf8, 4, 3 << 11);  // enable bit clear
  EXPECT_EQ(ports.read(0xcfc, 4), 0xffffffffu);
}

TEST_F(PciBusTest, AddressRegisterTakesDwordsOnly) {
  ports.write(0xcf8, 4, 0xffffffff);
  EXPECT_EQ(ports.read(0xcf8, 4), 0x80fffffcu);
  ports.write(0xcf8, 1, 0);
  ports.write(0xcfa, 2, 0);
  EXPECT_EQ(ports.read(0xcf8, 4), 0x80fffffcu);
}

TEST_F(PciBusTest, NarrowAccessesReachTheResetControl) {
  Chip control;
  bus.set_reset_control(&control);
  ports.write(0xcf9, 1, 6);
  ports.write(0xcf8, 4, 0);
  EXPECT_EQ(control.ports, (std::vector<uint16_t>{0xcf9}));
  EXPECT_EQ(ports.read(0xcf9, 1), 0xf9u);
}

TEST_F(PciBusTest, SizesBaseAddresses) {
  Chip chip;
  bus.attach(chip, 3);
  for (const unsigned bar : {0x10u, 0x14u, 0x18u, 0x1cu, 0x20u, 0x30u}) put(bar, 4, 0xffffffff);
  EXPECT_EQ(get(0x10, 4), 0xffffffe1u);
  EXPECT_EQ(get(0x14, 4), 0xffffe000u);
  EXPECT_EQ(get(0x18, 4), 0xffffc00cu);
  EXPECT_EQ(get(0x1c, 4), 0xffffffffu);
  EXPECT_EQ(get(0x20, 4), 0u);
  EXPECT_EQ(get(0x30, 4), 0xffff8001u);
  put(4, 2, 7);  // sized registers at the end of their space answer nowhere, even when enabled
  EXPECT_TRUE(chip.changes.empty());
}

TEST_F(PciBusTest, IoRangeFollowsTheRegisterAndTheCommand) {
  Chip chip;
  bus.attach(chip, 3);
  put(0x10, 4, 0xc000);
  EXPECT_FALSE(ports.mapped(0xc000));
  put(4, 2, 1);
  EXPECT_EQ(ports.read(0xc01c, 4), 0xc01cu);
  put(0x10, 4, 0xd000);
  EXPECT_FALSE(ports.mapped(0xc000));
  EXPECT_TRUE(ports.mapped(0xd01f));
  put(4, 2, 0);
  EXPECT_FALSE(ports.mapped(0xd000));
  EXPECT_EQ(chip.changes.size(), 3u);
  EXPECT_EQ(chip.commands, (std::vector<uint16_t>{1, 0}));
}

TEST_F(PciBusTest, MemoryRangesAndRom) {
  Chip chip;
  bus.attach(chip, 3);
  put(0x14, 4, 0xfebf0000);
  put(0x18, 4, 0x00010000);
  put(0x1c, 4, 0x00000001);
  put(0x30, 4, 0xfebe0000);
  put(4, 2, 2);
  EXPECT_EQ(memory.read(PhysicalAddress(0xfebf1ffc), 4), 0x1ffcu);
  EXPECT_EQ(memory.read(PhysicalAddress(0x100010000), 4), 0x100u);
  EXPECT_EQ(memory.read(PhysicalAddress(0xfebe0000), 1), 0xffu);
  put(0x30, 4, 0xfebe0001);
  EXPECT_EQ(memory.read(PhysicalAddress(0xfebe0000), 1), 0x55u);
  put(0x1c, 4, 0x00001000);  // beyond the physical address bits
  EXPECT_EQ(chip.bar_address(2), std::nullopt);
}

TEST_F(PciBusTest, ASystemsRamHidesPciMemory) {
  Chip chip;
  auto ram = RamBlock::create("ram", 1 << 20).value();
  memory.add(memory::Placement::ram(PhysicalAddress(0), 1 << 20, *ram, 0));
  bus.attach(chip, 3);
  put(0x14, 4, 0x10000);
  put(4, 2, 2);
  EXPECT_EQ(memory.read(PhysicalAddress(0x10004), 4), 0u);
}

TEST_F(PciBusTest, ResetUnmapsAndSilences) {
  Lines lines;
  bus.connect_pirqs({IrqLine(lines, 0), IrqLine(lines, 1), IrqLine(lines, 2), IrqLine(lines, 3)});
  Chip chip;
  bus.attach(chip, 3);
  put(0x10, 4, 0xc000);
  put(4, 2, 1);
  chip.set_interrupt(true);
  bus.reset();
  EXPECT_FALSE(ports.mapped(0xc000));
  EXPECT_EQ(get(0x10, 4), 1u);
  EXPECT_EQ(get(4, 2), 0u);
  EXPECT_EQ(lines.level, (std::array<bool, 4>{}));
}

TEST_F(PciBusTest, PinsRotateOverThePirqsAndShareThem) {
  Lines lines;
  bus.connect_pirqs({IrqLine(lines, 0), IrqLine(lines, 1), IrqLine(lines, 2), IrqLine(lines, 3)});
  Chip one;
  Chip five;
  Chip two(2);
  bus.attach(one, 1);
  bus.attach(five, 5);
  bus.attach(two, 2);
  one.set_interrupt(true);
  EXPECT_EQ(lines.level, (std::array{true, false, false, false}));
  five.set_interrupt(true);
  one.set_interrupt(false);
  EXPECT_TRUE(lines.level[0]);
  five.set_interrupt(false);
  EXPECT_FALSE(lines.level[0]);
  two.set_interrupt(true);
  EXPECT_EQ(lines.level, (std::array{false, false, true, false}));
}

TEST_F(PciBusTest, InterruptDisableKeepsTheStatus) {
  Lines lines;
  bus.connect_pirqs({IrqLine(lines, 0), IrqLine(lines, 1), IrqLine(lines, 2), IrqLine(lines, 3)});
  Chip chip;
  bus.attach(chip, 1);
  put(4, 2, 0x400, 1);
  chip.set_interrupt(true);
  EXPECT_FALSE(lines.level[0]);
  EXPECT_EQ(get(6, 2, 1) & 8, 8u);
  put(4, 2, 0, 1);
  EXPECT_TRUE(lines.level[0]);
}

TEST_F(PciBusTest, LeavingTheBusLetsGo) {
  Lines lines;
  bus.connect_pirqs({IrqLine(lines, 0), IrqLine(lines, 1), IrqLine(lines, 2), IrqLine(lines, 3)});
  {
    Chip chip;
    bus.attach(chip, 3);
    put(0x10, 4, 0xc000);
    put(0x14, 4, 0xfebf0000);
    put(4, 2, 3);
    chip.set_interrupt(true);
    EXPECT_TRUE(lines.level[2]);
  }
  EXPECT_FALSE(ports.mapped(0xc000));
  EXPECT_EQ(memory.read(PhysicalAddress(0xfebf0000), 4), 0xffffffffu);
  EXPECT_FALSE(lines.level[2]);
  EXPECT_EQ(get(0, 4), 0xffffffffu);
}

TEST_F(PciBusTest, DmaNeedsBusMastering) {
  auto ram = RamBlock::create("ram", 0x10000).value();
  memory.add(memory::Placement::ram(PhysicalAddress(0), 0x10000, *ram, 0));
  Chip chip;
  bus.attach(chip, 3);
  const std::array<uint8_t, 2> out = {1, 2};
  std::array<uint8_t, 2> in{};
  EXPECT_FALSE(chip.dma_write(PhysicalAddress(0x100), out));
  EXPECT_EQ(ram->data()[0x100], 0);
  put(4, 2, 4);
  EXPECT_TRUE(chip.dma_write(PhysicalAddress(0x100), out));
  EXPECT_TRUE(chip.dma_read(PhysicalAddress(0x100), in));
  EXPECT_EQ(in, out);
}

TEST_F(PciBusTest, CapabilitiesAreLinked) {
  Chip chip;
  EXPECT_EQ(chip.add_capability(9, 0x13), 0x40u);
  EXPECT_EQ(chip.add_capability(5, 0x0e), 0x54u);
  bus.attach(chip, 3);
  EXPECT_EQ(get(6, 2) & 0x10, 0x10u);
  EXPECT_EQ(get(0x34, 1), 0x40u);
  EXPECT_EQ(get(0x40, 2), 0x5409u);
  EXPECT_EQ(get(0x54, 2), 0x0005u);
}

TEST_F(PciBusTest, StateComesBackMapped) {
  StateArchive saved;
  {
    Chip chip;
    bus.attach(chip, 3);
    put(0x10, 4, 0xc000);
    put(4, 2, 1);
    chip.set_interrupt(true);
    chip.serialize(saved);
    bus.serialize(saved);
  }
  Chip chip;
  bus.attach(chip, 3);
  StateArchive load(saved.data());
  chip.serialize(load);
  bus.serialize(load);
  ASSERT_TRUE(load.status());
  EXPECT_TRUE(ports.mapped(0xc000));
  EXPECT_TRUE(chip.interrupt_asserted());
  EXPECT_EQ(ports.read(0xcf8, 4), 0x80001804u);
}

TEST_F(PciBusTest, AHostileStateCannotChangeTheIdentity) {
  Chip chip;
  bus.attach(chip, 3);
  StateArchive saved;
  chip.serialize(saved);
  std::vector<uint8_t> data = saved.data();
  for (size_t i = data.size() - PciDevice::kConfigSize - 1; i < data.size(); ++i) data[i] = 0xff;
  StateArchive load{std::span<const uint8_t>(data)};
  chip.serialize(load);
  EXPECT_EQ(get(0, 4), 0x56781234u);
  EXPECT_EQ(get(0x10, 4), 0xffffffe1u);
}

}  // namespace
}  // namespace vitrine::devices
