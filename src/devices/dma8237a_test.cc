#include "devices/dma8237a.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace vitrine::devices {
namespace {

constexpr uint8_t kSingleToMemory = 0x44;
constexpr uint8_t kSingleFromMemory = 0x48;
constexpr uint8_t kSingleVerify = 0x40;
constexpr uint8_t kAutoinitialise = 0x10;
constexpr uint8_t kDecrement = 0x20;

class Dma8237aTest : public testing::Test {
 protected:
  Dma8237aTest() { map.add(memory::Placement::ram(PhysicalAddress(0), ram->size(), *ram, 0)); }

  void out(uint16_t port, uint8_t value) { dma.write_port(port, 1, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(dma.read_port(port, 1)); }

  void program2(uint8_t mode, uint8_t page, uint16_t address, uint16_t count) {
    out(0x0a, 0x06);
    out(0x0c, 0);
    out(0x0b, mode | 2);
    out(0x04, address & 0xff);
    out(0x04, address >> 8);
    out(0x05, count & 0xff);
    out(0x05, count >> 8);
    out(0x81, page);
    out(0x0a, 0x02);
  }

  uint16_t counter(uint16_t port) {
    out(0x0c, 0);
    const unsigned low = in(port);
    return static_cast<uint16_t>(low | in(port) << 8);
  }

  static std::vector<uint8_t> pattern(size_t size) {
    std::vector<uint8_t> data(size);
    std::iota(data.begin(), data.end(), uint8_t{1});
    return data;
  }

  std::unique_ptr<memory::RamBlock> ram = memory::RamBlock::create("ram", 1 << 20).value();
  memory::PhysicalMap map;
  Dma8237a dma{map};
};

TEST_F(Dma8237aTest, FlipFlopOrdersTheBytesOfACounter) {
  out(0x0c, 0);
  out(0x04, 0x34);
  out(0x04, 0x12);
  EXPECT_EQ(counter(0x04), 0x1234);
  out(0x0c, 0);
  out(0x04, 0x78);  // only the low byte
  EXPECT_EQ(counter(0x04), 0x1278);
}

TEST_F(Dma8237aTest, WritesMemoryUntilTerminalCount) {
  program2(kSingleToMemory, 1, 0x2000, 9);
  const auto data = pattern(16);
  const DmaTransfer first = dma.device_to_memory(2, std::span(data).first(4));
  EXPECT_EQ(first.bytes, 4u);
  EXPECT_FALSE(first.terminal_count);
  EXPECT_EQ(counter(0x04), 0x2004);
  EXPECT_EQ(counter(0x05), 5);
  const DmaTransfer rest = dma.device_to_memory(2, std::span(data).subspan(4));
  EXPECT_EQ(rest.bytes, 6u);
  EXPECT_TRUE(rest.terminal_count);
  EXPECT_TRUE(std::equal(data.begin(), data.begin() + 10, ram->data() + 0x12000));
  EXPECT_EQ(ram->data()[0x1200a], 0);
  EXPECT_EQ(in(0x08), 0x04);
  EXPECT_EQ(in(0x08), 0x00) << "reading the status clears terminal counts";
  EXPECT_FALSE(dma.ready(2)) << "terminal count sets the mask";
  EXPECT_EQ(counter(0x05), 0xffff);
  EXPECT_EQ(dma.device_to_memory(2, data).bytes, 0u);
}

TEST_F(Dma8237aTest, ReadsMemory) {
  const auto data = pattern(8);
  std::copy(data.begin(), data.end(), ram->data() + 0x500);
  program2(kSingleFromMemory, 0, 0x500, 7);
  std::vector<uint8_t> read(8);
  EXPECT_TRUE(dma.memory_to_device(2, read).terminal_count);
  EXPECT_EQ(read, data);
}

TEST_F(Dma8237aTest, AutoinitialiseReloadsAndStaysUnmasked) {
  program2(kSingleToMemory | kAutoinitialise, 0, 0x600, 3);
  const auto data = pattern(8);
  EXPECT_EQ(dma.device_to_memory(2, data).bytes, 4u);
  EXPECT_EQ(counter(0x04), 0x600);
  EXPECT_EQ(counter(0x05), 3);
  const auto again = dma.device_to_memory(2, std::span(data).subspan(4));
  EXPECT_TRUE(again.terminal_count);
  EXPECT_EQ(ram->data()[0x600], 5);
}

TEST_F(Dma8237aTest, DecrementRunsBackwardsAndWrapsInThePage) {
  program2(kSingleToMemory | kDecrement, 2, 0x0001, 2);
  const uint8_t data[3] = {1, 2, 3};
  EXPECT_TRUE(dma.device_to_memory(2, data).terminal_count);
  EXPECT_EQ(ram->data()[0x20001], 1);
  EXPECT_EQ(ram->data()[0x20000], 2);
  EXPECT_EQ(ram->data()[0x2ffff], 3);
}

TEST_F(Dma8237aTest, IncrementDoesNotCarryIntoThePage) {
  program2(kSingleToMemory, 3, 0xfffe, 3);
  const uint8_t data[4] = {1, 2, 3, 4};
  EXPECT_EQ(dma.device_to_memory(2, data).bytes, 4u);
  EXPECT_EQ(ram->data()[0x3ffff], 2);
  EXPECT_EQ(ram->data()[0x30000], 3);
  EXPECT_EQ(ram->data()[0x40000], 0);
}

TEST_F(Dma8237aTest, VerifyAndOppositeDirectionsCountWithoutMoving) {
  const uint8_t data[2] = {1, 2};
  for (const uint8_t mode : {kSingleVerify, kSingleFromMemory}) {
    program2(mode, 0, 0x700, 1);
    EXPECT_TRUE(dma.device_to_memory(2, data).terminal_count);
    EXPECT_EQ(ram->data()[0x700], 0);
  }
}

TEST_F(Dma8237aTest, MasksAndDisableBitHoldTheChannelBack) {
  const uint8_t data[1] = {1};
  program2(kSingleToMemory, 0, 0, 100);
  EXPECT_TRUE(dma.ready(2));
  out(0x08, 0x04);
  EXPECT_EQ(dma.device_to_memory(2, data).bytes, 0u);
  out(0x08, 0x00);
  out(0x0f, 0x04);
  EXPECT_FALSE(dma.ready(2));
  EXPECT_EQ(in(0x0f), 0xf4);
  out(0x0e, 0);
  EXPECT_TRUE(dma.ready(2));
  out(0x0d, 0);
  EXPECT_FALSE(dma.ready(2)) << "master clear masks every channel";
}

TEST_F(Dma8237aTest, SoftwareRequestsShowInTheStatus) {
  out(0x09, 0x05);
  EXPECT_EQ(in(0x08), 0x20);
  out(0x09, 0x01);
  EXPECT_EQ(in(0x08), 0x00);
}

TEST_F(Dma8237aTest, SixteenBitChannelsCountWords) {
  out(0xd8, 0);
  out(0xd6, kSingleToMemory | 1);  // channel 5
  out(0xc4, 0x00);
  out(0xc4, 0x80);  // word address 8000h: byte address 10000h
  out(0xc6, 0x01);
  out(0xc6, 0x00);
  out(0x8b, 0x03);  // bit 0 is not connected
  out(0xd4, 0x01);
  const uint8_t data[5] = {1, 2, 3, 4, 5};
  const DmaTransfer partly = dma.device_to_memory(5, std::span(data).first(3));
  EXPECT_EQ(partly.bytes, 2u);
  const DmaTransfer rest = dma.device_to_memory(5, std::span(data).subspan(2));
  EXPECT_EQ(rest.bytes, 2u);
  EXPECT_TRUE(rest.terminal_count);
  EXPECT_EQ(ram->data()[0x30000], 1);
  EXPECT_EQ(ram->data()[0x30003], 4);
  EXPECT_EQ(in(0xd0), 0x02);
}

TEST_F(Dma8237aTest, StateSurvivesARoundTrip) {
  program2(kSingleToMemory, 1, 0x1234, 9);
  const auto data = pattern(3);
  dma.device_to_memory(2, data);
  StateArchive out_archive;
  dma.serialize(out_archive);
  Dma8237a copy(map);
  StateArchive in_archive(out_archive.data());
  copy.serialize(in_archive);
  ASSERT_TRUE(in_archive.status().has_value());
  EXPECT_TRUE(copy.ready(2));
  copy.write_port(0x0c, 1, 0);
  EXPECT_EQ(copy.read_port(0x04, 1), 0x37u);
  EXPECT_EQ(copy.read_port(0x81, 1), 1u);
}

}  // namespace
}  // namespace vitrine::devices
