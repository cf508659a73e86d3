#include "devices/fw_cfg.h"

#include <gtest/gtest.h>

namespace vitrine::devices {
namespace {

using memory::RamBlock;

class FwCfgTest : public testing::Test {
 protected:
  FwCfgTest() { memory.add(memory::Placement::ram(PhysicalAddress(0), 1 << 20, *ram, 0)); }

  std::string read_item(uint16_t key, size_t size) {
    ports.write(0x510, 2, key);
    std::string text;
    for (size_t i = 0; i < size; ++i) text += static_cast<char>(ports.read(0x511, 1));
    return text;
  }
  uint64_t read_little(uint16_t key, unsigned size) {
    uint64_t value = 0;
    const std::string bytes = read_item(key, size);
    for (unsigned i = 0; i < size; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    return value;
  }
  // Returns the control word that is left behind.
  uint32_t dma(uint32_t control, uint32_t length, uint64_t address) {
    uint8_t* at = ram->data() + 0x1000;
    for (unsigned i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(control >> (24 - 8 * i));
    for (unsigned i = 0; i < 4; ++i) at[4 + i] = static_cast<uint8_t>(length >> (24 - 8 * i));
    for (unsigned i = 0; i < 8; ++i) at[8 + i] = static_cast<uint8_t>(address >> (56 - 8 * i));
    ports.write(0x514, 4, 0);
    ports.write(0x518, 4, __builtin_bswap32(0x1000));
    return static_cast<uint32_t>(at[0]) << 24 | at[1] << 16 | at[2] << 8 | at[3];
  }

  std::unique_ptr<RamBlock> ram = RamBlock::create("ram", 1 << 20).value();
  memory::PhysicalMap memory;
  memory::PortMap ports;
  FwCfg device{ports, memory};
};

TEST_F(FwCfgTest, SignatureAndId) {
  EXPECT_EQ(read_item(0, 6), std::string("QEMU\0\0", 6));
  EXPECT_EQ(read_little(1, 4), 3u);
  EXPECT_EQ(ports.read(0x514, 4), 0x554d4551u);
  EXPECT_EQ(ports.read(0x518, 4), 0x47464320u);
}

TEST_F(FwCfgTest, UnknownItemsReadZeros) {
  EXPECT_EQ(read_item(0x7777, 3), std::string(3, '\0'));
  EXPECT_EQ(read_item(0xffff, 3), std::string(3, '\0'));
}

TEST_F(FwCfgTest, SelectingStartsAgainAndIgnoresTheWriteChannel) {
  device.add_item(0x30, {'a', 'b', 'c'});
  EXPECT_EQ(read_item(0x30, 2), "ab");
  EXPECT_EQ(ports.read(0x511, 1), unsigned{'c'});
  EXPECT_EQ(read_item(0x4030, 1), "a");
  ports.write(0x511, 1, 'x');
  EXPECT_EQ(read_item(0x30, 3), "abc");
}

TEST_F(FwCfgTest, DirectoryListsFiles) {
  ASSERT_TRUE(device.add_file("etc/one", {1, 2, 3}));
  ASSERT_TRUE(device.add_file("etc/two", {4}));
  ASSERT_TRUE(device.add_file("etc/one", {7, 8}));  // in the first one's stead
  const std::string directory = read_item(0x19, 4 + 2 * 64);
  EXPECT_EQ(directory.substr(0, 4), std::string("\0\0\0\2", 4));
  EXPECT_EQ(directory.substr(4, 8), std::string("\0\0\0\2\0\x20\0\0", 8));
  EXPECT_STREQ(directory.c_str() + 12, "etc/one");
  EXPECT_EQ(directory.substr(68, 8), std::string("\0\0\0\1\0\x21\0\0", 8));
  EXPECT_EQ(read_item(0x20, 2), "\x07\x08");
  EXPECT_EQ(device.file("etc/two").size(), 1u);
  EXPECT_TRUE(device.file("absent").empty());
}

TEST_F(FwCfgTest, RefusesImpossibleNames) {
  EXPECT_FALSE(device.add_file("", {}));
  EXPECT_FALSE(device.add_file(std::string(56, 'x'), {}));
  EXPECT_TRUE(device.add_file(std::string(55, 'x'), {}));
}

TEST_F(FwCfgTest, DmaSelectsReadsAndPads) {
  device.add_item(0x30, {'a', 'b', 'c', 'd'});
  std::fill_n(ram->data() + 0x2000, 8, 0xee);
  EXPECT_EQ(dma(0x0030000a, 3, 0x2000), 0u);
  EXPECT_EQ(std::string(ram->data() + 0x2000, ram->data() + 0x2003), "abc");
  EXPECT_EQ(ram->data()[0x2003], 0xee);
  EXPECT_EQ(dma(2, 4, 0x2000), 0u);  // goes on where it was
  EXPECT_EQ(std::string(ram->data() + 0x2000, ram->data() + 0x2005), std::string("d\0\0\0\xee", 5));
}

TEST_F(FwCfgTest, DmaSkips) {
  device.add_item(0x30, {'a', 'b', 'c', 'd'});
  EXPECT_EQ(dma(0x0030000c, 2, 0), 0u);
  EXPECT_EQ(ports.read(0x511, 1), unsigned{'c'});
  EXPECT_EQ(dma(4, 0xffffffff, 0), 0u);
  EXPECT_EQ(dma(4, 0xffffffff, 0), 0u);
  EXPECT_EQ(ports.read(0x511, 1), 0u);
}

TEST_F(FwCfgTest, DmaWritesAndEndlessReadsAreErrors) {
  device.add_item(0x30, {'a'});
  EXPECT_EQ(dma(0x00300018, 1, 0x2000), 1u);
  EXPECT_EQ(read_item(0x30, 1), "a");
  EXPECT_EQ(dma(0x0030000a, 0xffffffff, 0x2000), 1u);
}

TEST_F(FwCfgTest, WhatSeaBiosReads) {
  const FwCfg::MemoryRange ranges[] = {{0, 0x8000000, 1}, {0xfeffc000, 0x4000, 2}};
  device.set_memory(0x8000000, ranges);
  device.set_processors(1, 2);
  device.set_boot_menu(1);
  device.set_irq0_override(1);
  device.set_system_states();
  const std::string paths[] = {"/pci@i0cf8/ide@1,1/drive@0/disk@0", "HALT"};
  ASSERT_TRUE(device.set_boot_order(paths));
  EXPECT_EQ(read_little(FwCfg::kRamSize, 8), 0x8000000u);
  EXPECT_EQ(read_little(FwCfg::kProcessors, 2), 1u);
  EXPECT_EQ(read_little(FwCfg::kMaxProcessors, 2), 2u);
  EXPECT_EQ(read_little(FwCfg::kBootMenu, 2), 1u);
  EXPECT_EQ(read_little(FwCfg::kIrq0Override, 1), 1u);
  EXPECT_EQ(device.file("etc/e820").size(), 40u);
  EXPECT_EQ(device.file("etc/e820")[36], 2);
  EXPECT_EQ(device.file("etc/system-states")[3], 1);
  const auto order = device.file("bootorder");
  EXPECT_EQ(std::string(order.begin(), order.end()),
            std::string("/pci@i0cf8/ide@1,1/drive@0/disk@0\nHALT\0", 39));
}

TEST_F(FwCfgTest, StateKeepsThePosition) {
  (void)read_item(0, 2);
  StateArchive saved;
  device.serialize(saved);
  (void)read_item(1, 1);
  StateArchive load(saved.data());
  device.serialize(load);
  EXPECT_EQ(ports.read(0x511, 1), unsigned{'M'});
}

}  // namespace
}  // namespace vitrine::devices
