#include "devices/piix3_ide.h"

#include <gtest/gtest.h>

#include <vector>

#include "devices/ata_disk.h"
#include "devices/block_backend_for_test.h"
#include "devices/pci_bus.h"

namespace vitrine::devices {
namespace {

constexpr uint16_t kBusMaster = 0xc000;
constexpr uint32_t kTable = 0x2000;
constexpr uint32_t kEndOfTable = 0x80000000;

struct Lines : IrqSink {
  bool level[16] = {};
  void set_irq_line(unsigned line, bool now) override { level[line] = now; }
};

class Piix3IdeTest : public testing::Test {
 protected:
  Piix3IdeTest() {
    memory.add(memory::Placement::ram(PhysicalAddress(0), ram->size(), *ram, 0));
    disk.fill_sectors(512);
    ide.channel(0).attach(0, std::make_unique<AtaDisk>(clock, disk, AtaIdentity{}));
    ide.map_legacy_ports(ports);
    bus.attach(ide, 1, 1);
    config(0x20, kBusMaster);
    config(0x04, 5);
  }

  void config(unsigned offset, uint32_t value) {
    ports.write(0xcf8, 4, 0x80000900 | offset);
    ports.write(0xcfc, 4, value);
  }
  uint32_t config(unsigned offset) {
    ports.write(0xcf8, 4, 0x80000900 | offset);
    return ports.read(0xcfc, 4);
  }
  void out(uint16_t port, uint32_t value, unsigned size = 1) { ports.write(port, size, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(ports.read(port, 1)); }
  void wait() { clock.advance(10'000); }

  void descriptors(const std::vector<std::pair<uint32_t, uint32_t>>& entries) {
    uint32_t at = kTable;
    for (const auto& [address, count] : entries) {
      memory.write(PhysicalAddress(at), 4, address);
      memory.write(PhysicalAddress(at + 4), 4, count);
      at += 8;
    }
    out(kBusMaster + 4, kTable, 4);
    out(kBusMaster + 2, 0x06);
  }
  void command(uint8_t opcode, uint32_t lba, uint8_t count) {
    out(0x1f6, 0xe0);
    out(0x1f2, count);
    out(0x1f3, lba & 0xff);
    out(0x1f4, lba >> 8);
    out(0x1f5, 0);
    out(0x1f7, opcode);
  }
  bool memory_equals(uint32_t address, size_t sector, size_t offset, size_t bytes) {
    return std::equal(ram->data() + address, ram->data() + address + bytes,
                      disk.data.begin() + static_cast<long>(sector * 512 + offset));
  }

  std::unique_ptr<memory::RamBlock> ram = memory::RamBlock::create("ram", 1 << 20).value();
  memory::PhysicalMap memory;
  memory::PortMap ports;
  PciBus bus{ports, memory};
  ManualClock clock;
  Lines lines;
  BlockBackendForTest disk{1 << 20};
  Piix3Ide ide{IrqLine(lines, 14), IrqLine(lines, 15)};
};

TEST_F(Piix3IdeTest, IdentifiesItself) {
  EXPECT_EQ(config(0x00), 0x70108086u);
  EXPECT_EQ(config(0x08) >> 8, 0x010180u);
  config(0x20, 0xffffffff);
  EXPECT_EQ(config(0x20), 0xfffffff1u);
  config(0x40, 0xffffffff);
  EXPECT_EQ(config(0x40), 0xf3fff3ffu);
}

TEST_F(Piix3IdeTest, ReadsIntoScatteredRegions) {
  descriptors({{0x10000, 512}, {0x20002, 1022}, {0x30000, 2562 | kEndOfTable}});
  command(0xc8, 10, 8);
  wait();
  EXPECT_FALSE(lines.level[14]);
  out(kBusMaster, 0x09);
  EXPECT_EQ(in(kBusMaster + 2), 0x01);
  wait();
  EXPECT_TRUE(lines.level[14]);
  EXPECT_EQ(in(kBusMaster + 2), 0x04) << "descriptors and data end together: inactive, interrupt";
  EXPECT_EQ(in(0x1f7), 0x50);
  out(kBusMaster, 0x00);
  out(kBusMaster + 2, 0x04);
  EXPECT_EQ(in(kBusMaster + 2), 0x00);
  EXPECT_TRUE(memory_equals(0x10000, 10, 0, 512));
  EXPECT_TRUE(memory_equals(0x20002, 10, 512, 1022));
  EXPECT_TRUE(memory_equals(0x30000, 10, 1534, 2562));
  EXPECT_EQ(ram->data()[0x30000 + 2562], 0);
  EXPECT_EQ(ram->data()[0x10000 + 513], 0);
}

TEST_F(Piix3IdeTest, WritesFromMemory) {
  for (size_t i = 0; i < 1024; ++i) ram->data()[0x40000 + i] = static_cast<uint8_t>(i * 3);
  descriptors({{0x40000, 1024 | kEndOfTable}});
  command(0xca, 20, 2);
  out(kBusMaster, 0x01);
  wait();
  EXPECT_EQ(in(kBusMaster + 2), 0x04);
  EXPECT_TRUE(memory_equals(0x40000, 20, 0, 1024));
}

TEST_F(Piix3IdeTest, ACountOfZeroIs64KiB) {
  descriptors({{0x10000, 0 | kEndOfTable}});
  command(0xc8, 0, 128);
  out(kBusMaster, 0x09);
  wait();
  EXPECT_EQ(in(kBusMaster + 2), 0x04);
  EXPECT_TRUE(memory_equals(0x10000, 0, 0, 65536));
}

TEST_F(Piix3IdeTest, DescriptorsLongerThanTheDataStayActive) {
  descriptors({{0x10000, 4096 | kEndOfTable}});
  command(0xc8, 0, 1);
  out(kBusMaster, 0x09);
  wait();
  EXPECT_EQ(in(kBusMaster + 2), 0x05);
  out(kBusMaster, 0x08);
  EXPECT_EQ(in(kBusMaster + 2), 0x04);
}

TEST_F(Piix3IdeTest, DescriptorsShorterThanTheDataEndWithoutInterrupt) {
  descriptors({{0x10000, 512 | kEndOfTable}});
  command(0xc8, 0, 2);
  out(kBusMaster, 0x09);
  wait();
  EXPECT_EQ(in(kBusMaster + 2), 0x00);
  EXPECT_FALSE(lines.level[14]);
  EXPECT_EQ(in(0x3f6), 0x58);
}

TEST_F(Piix3IdeTest, RegionsAndTablesWhereNothingIsSetTheErrorBit) {
  descriptors({{0x80000000, 512 | kEndOfTable}});
  command(0xc8, 0, 1);
  out(kBusMaster, 0x09);
  wait();
  EXPECT_EQ(in(kBusMaster + 2), 0x02);
  EXPECT_FALSE(lines.level[14]);
  out(kBusMaster, 0x00);
  out(kBusMaster + 2, 0x02);
  out(kBusMaster + 4, 0x90000000, 4);
  out(kBusMaster, 0x09);
  wait();
  EXPECT_EQ(in(kBusMaster + 2), 0x02);
}

TEST_F(Piix3IdeTest, WithoutBusMasteringNothingMoves) {
  config(0x04, 1);
  descriptors({{0x10000, 512 | kEndOfTable}});
  command(0xc8, 3, 1);
  out(kBusMaster, 0x09);
  wait();
  EXPECT_EQ(in(kBusMaster + 2), 0x02);
  EXPECT_EQ(ram->data()[0x10001], 0);
}

TEST_F(Piix3IdeTest, PioInterruptsShowInTheStatusToo) {
  command(0x20, 0, 1);
  wait();
  EXPECT_EQ(in(kBusMaster + 2), 0x04);
  EXPECT_TRUE(lines.level[14]);
  EXPECT_EQ(in(kBusMaster + 10), 0x00) << "not in the other channel's";
}

TEST_F(Piix3IdeTest, DriveCapableBitsAreStorage) {
  out(kBusMaster + 2, 0x60);
  EXPECT_EQ(in(kBusMaster + 2), 0x60);
  out(kBusMaster + 12, 0x12345677, 4);
  EXPECT_EQ(ports.read(kBusMaster + 12, 4), 0x12345674u);
  EXPECT_EQ(ports.read(kBusMaster + 14, 2), 0x1234u);
}

TEST_F(Piix3IdeTest, StateSurvivesBetweenTwoTables) {
  descriptors({{0x10000, 700 | kEndOfTable}});
  command(0xc8, 10, 2);
  out(kBusMaster, 0x09);
  wait();
  StateArchive saved;
  ide.serialize(saved);
  bus.detach(ide);
  {
    Piix3Ide copy(IrqLine(lines, 14), IrqLine(lines, 15));
    copy.channel(0).attach(0, std::make_unique<AtaDisk>(clock, disk, AtaIdentity{}));
    bus.attach(copy, 1, 1);
    StateArchive loading(saved.data());
    copy.serialize(loading);
    ASSERT_TRUE(loading.status().has_value()) << loading.status().error().message();
    descriptors({{0x20000, 324 | kEndOfTable}});
    out(kBusMaster, 0x00);
    out(kBusMaster, 0x09);
    wait();
    EXPECT_EQ(in(kBusMaster + 2), 0x04);
  }
  EXPECT_TRUE(memory_equals(0x10000, 10, 0, 700));
  EXPECT_TRUE(memory_equals(0x20000, 10, 700, 324));
}

TEST_F(Piix3IdeTest, ResetPutsEverythingBack) {
  config(0x40, 0x80008000);
  out(kBusMaster + 4, 0x1234, 4);
  bus.reset();
  EXPECT_EQ(config(0x40), 0u);
  EXPECT_EQ(ports.read(kBusMaster, 4), 0xffffffffu) << "unmapped";
  ide.enable_decoding();
  EXPECT_EQ(config(0x40), 0x80008000u);
}

}  // namespace
}  // namespace vitrine::devices
