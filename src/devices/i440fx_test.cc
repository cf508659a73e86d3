#include "devices/i440fx.h"

#include <gtest/gtest.h>

#include "devices/map_priorities.h"
#include "devices/pci_bus.h"

namespace vitrine::devices {
namespace {

using memory::PhysicalMap;
using memory::RamBlock;

struct Window : memory::MemoryDevice {
  uint64_t read_memory(uint64_t, unsigned) override { return 0x99; }
  void write_memory(uint64_t, unsigned, uint64_t) override {}
};

class I440fxTest : public testing::Test {
 protected:
  I440fxTest() {
    for (uint64_t i = 0xa0000; i < 0x100000; i += 0x1000) ram->data()[i] = 0x11;
    for (uint64_t i = 0; i < 0x40000; i += 0x1000) rom->data()[i] = 0x22;
  }
  uint64_t get(uint64_t address) { return memory.read(PhysicalAddress(address), 1); }

  std::unique_ptr<RamBlock> ram = RamBlock::create("ram", 16 << 20).value();
  std::unique_ptr<RamBlock> rom = RamBlock::create("rom", I440fx::kLegacyRomSize).value();
  PhysicalMap memory;
  I440fx bridge{memory, *ram, *rom};
};

TEST_F(I440fxTest, ComesUpWithRomAtTheTopOfTheFirstMegabyte) {
  EXPECT_EQ(bridge.read_config(0, 4), 0x12378086u);
  EXPECT_EQ(bridge.read_config(8, 4), 0x06000002u);
  EXPECT_EQ(get(0xf0000), 0x22u);
  EXPECT_EQ(get(0xc0000), 0x22u);
  EXPECT_EQ(get(0xa0000), 0xffu);
  memory.write(PhysicalAddress(0xf0000), 1, 0x33);
  EXPECT_EQ(get(0xf0000), 0x22u);
  EXPECT_EQ(ram->data()[0xf0000], 0x11);
}

TEST_F(I440fxTest, AllFourAttributesOfEverySegment) {
  for (unsigned segment = 0; segment < 13; ++segment) {
    const uint64_t start = segment == 0 ? 0xf0000 : 0xc0000 + (segment - 1) * 0x4000;
    const unsigned pam = 0x59 + (segment + 1) / 2;
    const unsigned shift = segment % 2 == 0 ? 4 : 0;
    for (unsigned attributes = 0; attributes < 4; ++attributes) {
      ram->data()[start] = 0x11;
      bridge.write_config(pam, 1, attributes << shift);
      EXPECT_EQ(get(start), (attributes & 1) != 0 ? 0x11u : 0x22u) << segment << ' ' << attributes;
      memory.write(PhysicalAddress(start), 1, 0x44);
      EXPECT_EQ(ram->data()[start], (attributes & 2) != 0 ? 0x44 : 0x11) << segment << ' ' << attributes;
      EXPECT_EQ(rom->data()[start - 0xc0000], 0x22);
    }
    bridge.write_config(pam, 1, 0);
  }
}

TEST_F(I440fxTest, OneSegmentEndsWhereTheNextBegins) {
  bridge.write_config(0x5a, 1, 0x01);
  EXPECT_EQ(get(0xc3000), 0x11u);
  EXPECT_EQ(get(0xc4000), 0x22u);
  bridge.write_config(0x59, 1, 0xff);
  EXPECT_EQ(bridge.read_config(0x59, 1), 0x30u);
  EXPECT_EQ(get(0xff000), 0x11u);
  EXPECT_EQ(get(0xef000), 0x22u);
}

TEST_F(I440fxTest, OpenSmramHidesTheVga) {
  Window vga;
  memory.add(memory::Placement::mmio(PhysicalAddress(0xa0000), 0x20000, vga, 0, kPriorityVga));
  EXPECT_EQ(get(0xa0000), 0x99u);
  bridge.write_config(0x72, 1, 0x4a);
  EXPECT_EQ(get(0xa0000), 0x11u);
  memory.write(PhysicalAddress(0xbf000), 1, 0x55);
  EXPECT_EQ(ram->data()[0xbf000], 0x55);
  bridge.write_config(0x72, 1, 0x0a);
  EXPECT_EQ(get(0xa0000), 0x99u);
}

TEST_F(I440fxTest, LockedSmramStaysClosedUntilReset) {
  bridge.write_config(0x72, 1, 0x40 | 0x10);
  EXPECT_EQ(bridge.read_config(0x72, 1), 0x12u);
  bridge.write_config(0x72, 1, 0x40);
  EXPECT_EQ(bridge.read_config(0x72, 1), 0x12u);
  EXPECT_EQ(get(0xa0000), 0xffu);
  bridge.reset();
  bridge.write_config(0x72, 1, 0x40);
  EXPECT_EQ(get(0xa0000), 0x11u);
}

TEST_F(I440fxTest, ResetBringsTheRomBack) {
  bridge.write_config(0x59, 4, 0x33333333);
  EXPECT_EQ(get(0xf0000), 0x11u);
  bridge.reset();
  EXPECT_EQ(bridge.read_config(4, 2), 6u);
  EXPECT_EQ(get(0xf0000), 0x22u);
  EXPECT_EQ(get(0xc0000), 0x22u);
}

TEST_F(I440fxTest, TellsTheSizeOfMemory) {
  EXPECT_EQ(bridge.below_4g(), uint64_t{16} << 20);
  EXPECT_EQ(bridge.above_4g(), 0u);
  EXPECT_EQ(bridge.read_config(0x57, 1), 2u);
  EXPECT_EQ(get(0x1000000), 0xffu);
  EXPECT_EQ(get(0xfff000), 0u);
}

TEST_F(I440fxTest, RamBeyondTheHoleContinuesAtFourGiB) {
  auto big = RamBlock::create("big", uint64_t{0xe1000000}).value();  // sparse
  PhysicalMap map;
  const I440fx other(map, *big, *rom);
  EXPECT_EQ(other.below_4g(), 0xc0000000u);
  EXPECT_EQ(other.above_4g(), 0x21000000u);
  map.write(PhysicalAddress(0x100000000), 1, 0x66);
  EXPECT_EQ(big->data()[0xc0000000], 0x66);
  EXPECT_EQ(map.read(PhysicalAddress(0xc0000000), 1), 0xffu);
}

TEST_F(I440fxTest, StateComesBack) {
  bridge.write_config(0x5d, 1, 0x32);
  bridge.write_config(0x72, 1, 0x4a);
  StateArchive saved;
  bridge.serialize(saved);
  bridge.reset();
  bridge.write_config(0x72, 1, 0x10);  // locked: must not keep the saved value out
  StateArchive load(saved.data());
  bridge.serialize(load);
  ASSERT_TRUE(load.status());
  EXPECT_EQ(bridge.read_config(0x5d, 1), 0x32u);
  EXPECT_EQ(get(0xdc000), 0x11u);
  EXPECT_EQ(get(0xd8000), 0x22u);
  EXPECT_EQ(get(0xa0000), 0x11u);
}

}  // namespace
}  // namespace vitrine::devices
