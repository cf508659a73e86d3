#include "memory/physical_map.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine::memory {
namespace {

struct Registers : MemoryDevice {
  std::vector<std::pair<uint64_t, unsigned>> accesses;
  uint64_t read_memory(uint64_t offset, unsigned size) override {
    accesses.emplace_back(offset, size);
    return 0x1122334455667788;
  }
  void write_memory(uint64_t offset, unsigned size, uint64_t) override {
    accesses.emplace_back(offset, size);
  }
  [[nodiscard]] bool is_steady(uint64_t offset, unsigned size) const override {
    return offset == 0x20 && size == 4;
  }
};

struct Listener : MapListener, WriteListener {
  int changes = 0;
  std::vector<uint64_t> pages;
  void physical_map_changed() override { ++changes; }
  void watched_page_written(RamBlock&, uint64_t page, uint8_t) override { pages.push_back(page); }
};

class PhysicalMapTest : public testing::Test {
 protected:
  std::unique_ptr<RamBlock> ram = RamBlock::create("ram", 4 << 20).value();
  std::unique_ptr<RamBlock> rom = RamBlock::create("rom", 0x10000).value();
  PhysicalMap map;
};

TEST_F(PhysicalMapTest, HigherPriorityHidesAndShowsAgain) {
  map.add(Placement::ram(PhysicalAddress(0), 4 << 20, *ram, 0));
  const PlacementId shadow = map.add(Placement::rom(PhysicalAddress(0xf0000), 0x10000, *rom, 0, 1));
  ram->data()[0xf0000] = 1;
  rom->data()[0] = 2;
  EXPECT_EQ(map.read(PhysicalAddress(0xf0000), 1), 2u);
  map.write(PhysicalAddress(0xf0000), 1, 3);
  EXPECT_EQ(rom->data()[0], 2);
  map.remove(shadow);
  EXPECT_EQ(map.read(PhysicalAddress(0xf0000), 1), 1u);
  EXPECT_EQ(map.regions().size(), 2u);
}

TEST_F(PhysicalMapTest, ReadsAndWritesMayGoToDifferentPlaces) {
  Placement split = Placement::rom(PhysicalAddress(0), 0x10000, *rom, 0);
  split.write_block = ram.get();
  split.write_offset = 0x2000;
  map.add(split);
  map.write(PhysicalAddress(4), 4, 0xdeadbeef);
  EXPECT_EQ(map.read(PhysicalAddress(4), 4), 0u);
  EXPECT_EQ(ram->data()[0x2004], 0xef);
}

TEST_F(PhysicalMapTest, UnmappedSpaceReadsOnes) {
  EXPECT_EQ(map.read(PhysicalAddress(0x80000000), 4), 0xffffffffu);
  EXPECT_EQ(map.read(PhysicalAddress(0x80000000), 8), ~uint64_t{0});
}

TEST_F(PhysicalMapTest, DeviceSeesOffsetsAndWholeAccesses) {
  Registers device;
  map.add(Placement::mmio(PhysicalAddress(0xfee00000), kPageSize, device));
  EXPECT_EQ(map.read(PhysicalAddress(0xfee00020), 4), 0x55667788u);
  map.write(PhysicalAddress(0xfee00300), 4, 1);
  EXPECT_EQ(device.accesses, (std::vector<std::pair<uint64_t, unsigned>>{{0x20, 4}, {0x300, 4}}));
}

TEST_F(PhysicalMapTest, SteadyRegistersAreCountedAtTheirDevice) {
  Registers device;
  map.add(Placement::ram(PhysicalAddress(0), kPageSize, *ram, 0));
  map.add(Placement::mmio(PhysicalAddress(0xfee00000), kPageSize, device));
  inspect::DeviceCounter* const counter = map.steady_register(PhysicalAddress(0xfee00020), 4);
  ASSERT_NE(counter, nullptr);
  EXPECT_EQ(counter->device, &device);
  EXPECT_TRUE(device.accesses.empty());
  EXPECT_EQ(map.steady_register(PhysicalAddress(0xfee00024), 4), nullptr);
  EXPECT_EQ(map.steady_register(PhysicalAddress(0x20), 4), nullptr);
  EXPECT_EQ(map.steady_register(PhysicalAddress(0x80000020), 4), nullptr);
}

TEST_F(PhysicalMapTest, AnAccessAcrossRegionsTakesEachPartFromItsOwn) {
  map.add(Placement::ram(PhysicalAddress(0), kPageSize, *ram, 0));
  ram->data()[0xffe] = 0x11;
  ram->data()[0xfff] = 0x22;
  EXPECT_EQ(map.read(PhysicalAddress(0xffe), 4), 0xffff2211u);
}

TEST_F(PhysicalMapTest, ClosedA20FoldsOddMegabytes) {
  map.add(Placement::ram(PhysicalAddress(0), 4 << 20, *ram, 0));
  ram->data()[0x10] = 1;
  ram->data()[0x100010] = 2;
  EXPECT_EQ(map.read(PhysicalAddress(0x100010), 1), 2u);
  map.set_a20(false);
  EXPECT_EQ(map.read(PhysicalAddress(0x100010), 1), 1u);
  uint8_t two[2];
  ram->data()[0xfffff] = 7;
  map.read(PhysicalAddress(0xfffff), two);
  EXPECT_EQ(two[0], 7);
  EXPECT_EQ(two[1], ram->data()[0]);
}

TEST_F(PhysicalMapTest, ListenersHearOfChangesAndWatchedWrites) {
  Listener listener;
  map.add_listener(listener);
  map.add_write_listener(listener);
  map.add(Placement::ram(PhysicalAddress(0x100000), 0x10000, *ram, 0x3000));
  EXPECT_EQ(listener.changes, 1);
  map.set_a20(false);
  map.set_a20(true);
  EXPECT_EQ(listener.changes, 3);
  ram->watch(4, Watch::Code);
  map.write(PhysicalAddress(0x100000), 4, 1);  // page 3
  EXPECT_TRUE(listener.pages.empty());
  const std::vector<uint8_t> data(3 * kPageSize, 1);
  map.write(PhysicalAddress(0x100800), data);
  EXPECT_EQ(listener.pages, (std::vector<uint64_t>{4}));
  ram->unwatch(4, Watch::Code);
  map.write(PhysicalAddress(0x101000), 4, 1);
  EXPECT_EQ(listener.pages.size(), 1u);
}

struct ByteListener : WriteListener {
  std::vector<std::pair<unsigned, unsigned>> writes;
  uint8_t needed = 0xff;
  uint8_t watched_bytes_written(RamBlock&, uint64_t, unsigned offset, unsigned size, uint8_t) override {
    writes.emplace_back(offset, size);
    return needed;
  }
};

TEST_F(PhysicalMapTest, ListenersHearWhichBytesAndAreNotToldWhatNobodyNeeds) {
  ByteListener one, other;
  map.add_write_listener(one);
  map.add_write_listener(other);
  map.add(Placement::ram(PhysicalAddress(0), 0x10000, *ram, 0));
  ram->watch(1, Watch::Code);
  ram->watch(1, Watch::PageTable);
  map.write(PhysicalAddress(0x1ffe), 4, 0);
  map.note_write(*ram, 1);
  EXPECT_EQ(one.writes, (std::vector<std::pair<unsigned, unsigned>>{{0xffe, 2}, {0, kPageSize}}));
  one.needed = 0;
  map.write(PhysicalAddress(0x1000), 1, 0);
  EXPECT_EQ(ram->watches(1), 3);
  other.needed = static_cast<uint8_t>(Watch::PageTable);
  map.write(PhysicalAddress(0x1000), 1, 0);
  EXPECT_EQ(ram->watches(1), static_cast<uint8_t>(Watch::PageTable));
}

}  // namespace
}  // namespace vitrine::memory
