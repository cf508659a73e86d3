#include "devices/ata_disk.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "devices/block_backend_for_test.h"
#include "devices/ide_channel.h"
#include "devices/irq_sink_for_test.h"

namespace vitrine::devices {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint16_t kData = 0x1f0;
constexpr uint16_t kStatus = 0x1f7;
constexpr uint16_t kControl = 0x3f6;

/// Memory that a guest's descriptors would name, as one run of bytes; it may be shorter than the transfer.
struct Engine : AtaDmaEngine {
  Bytes memory;
  size_t position = 0;
  size_t limit = 0;
  bool running = false;

  [[nodiscard]] bool started() const override { return running && position < limit; }
  size_t to_memory(std::span<const uint8_t> data) override {
    const size_t bytes = std::min(data.size(), limit - position);
    std::copy_n(data.begin(), bytes, memory.begin() + static_cast<long>(position));
    position += bytes;
    return bytes;
  }
  size_t from_memory(std::span<uint8_t> data) override {
    const size_t bytes = std::min(data.size(), limit - position);
    std::copy_n(memory.begin() + static_cast<long>(position), bytes, data.begin());
    position += bytes;
    return bytes;
  }
  void interrupt_changed(bool) override {}
};

class AtaDiskTest : public testing::Test {
 protected:
  static constexpr size_t kSectors = 140'000;

  AtaDiskTest() {
    disk.fill_sectors(512, 0, 4000);
    disk.fill_sectors(512, 0x20000, 4);
    auto made = std::make_unique<AtaDisk>(clock, disk, AtaIdentity{"TEST DISK", "SN1", "1.0"});
    made->set_error_callback([this](const Error& error) { reports.push_back(error.what); });
    channel.set_dma_engine(&engine);
    channel.attach(0, std::move(made));
  }

  void out(uint16_t port, uint32_t value, unsigned size = 1) { channel.write_port(port, size, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(channel.read_port(port, 1)); }
  void wait() { clock.advance(10'000); }

  void command28(uint8_t opcode, uint32_t lba, uint8_t count) {
    out(0x1f6, 0xe0 | lba >> 24);
    out(0x1f2, count);
    out(0x1f3, lba & 0xff);
    out(0x1f4, lba >> 8 & 0xff);
    out(0x1f5, lba >> 16 & 0xff);
    out(kStatus, opcode);
  }
  void command48(uint8_t opcode, uint64_t lba, uint16_t count) {
    out(0x1f6, 0x40);
    for (const unsigned shift : {8u, 0u}) {
      out(0x1f2, count >> shift & 0xff);
      out(0x1f3, lba >> (shift * 3) & 0xff);
      out(0x1f4, lba >> (shift * 3 + 8) & 0xff);
      out(0x1f5, lba >> (shift * 3 + 16) & 0xff);
    }
    out(kStatus, opcode);
  }
  void simple(uint8_t opcode, uint8_t features = 0, uint8_t count = 0) {
    out(0x1f1, features);
    out(0x1f2, count);
    out(0x1f6, 0xe0);
    out(kStatus, opcode);
    wait();
  }
  Bytes read_data(size_t bytes) {
    Bytes data;
    while (data.size() < bytes) {
      const uint32_t value = channel.read_port(kData, 2);
      data.push_back(static_cast<uint8_t>(value));
      data.push_back(static_cast<uint8_t>(value >> 8));
    }
    return data;
  }
  void write_data(const Bytes& data) {
    for (size_t i = 0; i < data.size(); i += 4) {
      out(kData, data[i] | data[i + 1u] << 8 | data[i + 2u] << 16 | static_cast<uint32_t>(data[i + 3u]) << 24,
          4);
    }
  }
  [[nodiscard]] Bytes on_disk(size_t sector, size_t count) const {
    const auto from = disk.data.begin() + static_cast<long>(sector * 512);
    return {from, from + static_cast<long>(count * 512)};
  }
  static Bytes pattern(size_t size, unsigned seed) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 13 + i / 256 + seed);
    return bytes;
  }
  void expect_error(uint8_t error, uint8_t status = 0x51) {
    EXPECT_TRUE(line.level);
    EXPECT_EQ(in(kStatus), status);
    EXPECT_EQ(in(0x1f1), error);
    EXPECT_FALSE(line.level);
  }
  [[nodiscard]] static uint16_t word(const Bytes& data, unsigned index) {
    return static_cast<uint16_t>(data[index * 2] | data[index * 2 + 1] << 8);
  }
  Bytes identify() {
    simple(0xec);
    EXPECT_EQ(in(kStatus), 0x58);
    return read_data(512);
  }
  void start_engine(size_t bytes) {
    engine.limit = bytes;
    engine.position = 0;
    engine.memory.resize(std::max(engine.memory.size(), bytes));
    engine.running = true;
    channel.dma_started();
  }

  ManualClock clock;
  IrqSinkForTest line;
  Engine engine;
  BlockBackendForTest disk{kSectors * 512};
  std::vector<std::string> reports;
  IdeChannel channel{IdeChannel::kPrimary, IrqLine(line, 14)};
};

TEST_F(AtaDiskTest, IsReadyAfterPowerOn) {
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(in(0x1f1), 0x01);
  EXPECT_EQ(in(0x1f2), 0x01);
  EXPECT_EQ(in(0x1f3), 0x01);
  EXPECT_EQ(in(0x1f4), 0x00);
  EXPECT_EQ(in(0x1f5), 0x00);
}

TEST_F(AtaDiskTest, IdentifiesItself) {
  const Bytes data = identify();
  EXPECT_EQ(std::string(data.begin() + 54, data.begin() + 64), "ETTSD SI K");
  EXPECT_EQ(word(data, 1), kSectors / (16 * 63));
  EXPECT_EQ(word(data, 60) | word(data, 61) << 16, static_cast<int>(kSectors));
  EXPECT_EQ(word(data, 100) | word(data, 101) << 16, static_cast<int>(kSectors));
  EXPECT_EQ(word(data, 83) & 0xc000, 0x4000);
  EXPECT_EQ(word(data, 47), 0x8010);
  uint8_t sum = 0;
  for (const uint8_t byte : data) sum = static_cast<uint8_t>(sum + byte);
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(in(kStatus), 0x50);
}

TEST_F(AtaDiskTest, ReadsSectorsWithAnInterruptForEach) {
  command28(0x20, 1000, 3);
  EXPECT_EQ(in(kControl), 0x80) << "busy until the driver has returned";
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_FALSE(line.level);
    wait();
    EXPECT_TRUE(line.level);
    EXPECT_EQ(in(kControl), 0x58);
    EXPECT_TRUE(line.level) << "the alternate status leaves the interrupt alone";
    EXPECT_EQ(in(kStatus), 0x58);
    EXPECT_FALSE(line.level);
    EXPECT_EQ(read_data(512), on_disk(1000 + i, 1));
  }
  wait();
  EXPECT_FALSE(line.level);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(in(0x1f2), 0);
  EXPECT_EQ(in(0x1f3) | in(0x1f4) << 8, 1002);
  EXPECT_EQ(line.rises, 3u);
}

TEST_F(AtaDiskTest, CountOfZeroIs256Sectors) {
  command28(0x20, 0, 0);
  Bytes all;
  for (int i = 0; i < 256; ++i) {
    wait();
    const Bytes sector = read_data(512);
    all.insert(all.end(), sector.begin(), sector.end());
  }
  EXPECT_EQ(all, on_disk(0, 256));
  EXPECT_EQ(in(kStatus), 0x50);
}

TEST_F(AtaDiskTest, WritesSectorsWhenDataFollowAtOnce) {
  const Bytes data = pattern(1024, 1);
  command28(0x30, 500, 2);
  EXPECT_EQ(in(kStatus), 0x58);
  EXPECT_FALSE(line.level) << "no interrupt asks for the first block";
  write_data(Bytes(data.begin(), data.begin() + 512));
  EXPECT_EQ(in(kControl), 0x80);
  wait();
  EXPECT_TRUE(line.level);
  EXPECT_EQ(in(kStatus), 0x58);
  write_data(Bytes(data.begin() + 512, data.end()));
  wait();
  EXPECT_TRUE(line.level);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(on_disk(500, 2), data);
}

TEST_F(AtaDiskTest, MultipleMovesBlocks) {
  simple(0xc6, 0, 4);
  EXPECT_EQ(in(kStatus), 0x50);
  command28(0xc4, 100, 6);
  wait();
  EXPECT_EQ(read_data(2048), on_disk(100, 4));
  EXPECT_EQ(in(kControl), 0x80);
  wait();
  EXPECT_EQ(read_data(1024), on_disk(104, 2));
  EXPECT_EQ(in(kStatus), 0x50);
  const Bytes data = pattern(6 * 512, 2);
  command48(0x39, 100, 6);
  write_data(Bytes(data.begin(), data.begin() + 2048));
  wait();
  write_data(Bytes(data.begin() + 2048, data.end()));
  wait();
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(on_disk(100, 6), data);
  EXPECT_EQ(word(identify(), 59), 0x0104);
}

TEST_F(AtaDiskTest, MultipleModeCanBeOff) {
  simple(0xc6, 0, 3);
  expect_error(0x04);
  simple(0xc6, 0, 0);
  EXPECT_EQ(in(kStatus), 0x50);
  command28(0xc4, 0, 1);
  wait();
  expect_error(0x04);
  command28(0xc5, 0, 1);
  wait();
  expect_error(0x04);
}

TEST_F(AtaDiskTest, ByteAndBlockAccessesOfTheDataRegister) {
  command28(0x20, 7, 1);
  wait();
  const Bytes expected = on_disk(7, 1);
  EXPECT_EQ(in(kData), expected[0]) << "a byte access takes the word";
  EXPECT_EQ(channel.read_port(kData, 4),
            expected[2] | expected[3] << 8 | expected[4] << 16 | static_cast<uint32_t>(expected[5]) << 24);
  Bytes rest(1000);
  EXPECT_EQ(channel.read_port_block(kData, 2, rest), 506u);
  EXPECT_TRUE(std::equal(expected.begin() + 6, expected.end(), rest.begin()));
  EXPECT_EQ(channel.read_port_block(kData, 2, rest), 0u);
  EXPECT_EQ(in(kStatus), 0x50);
  command28(0x30, 7, 1);
  const Bytes data = pattern(600, 5);
  EXPECT_EQ(channel.write_port_block(kData, 2, data), 512u);
  wait();
  EXPECT_TRUE(std::equal(data.begin(), data.begin() + 512, disk.data.begin() + 7 * 512));
}

TEST_F(AtaDiskTest, ABlockTransferLeavesWhatIsNoWholeAccess) {
  command28(0x20, 7, 1);
  wait();
  const Bytes expected = on_disk(7, 1);
  (void)channel.read_port(kData, 2);
  Bytes rest(1000);
  EXPECT_EQ(channel.read_port_block(kData, 1, rest), 0u) << "a byte access takes a word";
  EXPECT_EQ(channel.read_port_block(kData + 1, 2, rest), 0u) << "another register";
  EXPECT_EQ(channel.read_port_block(kData, 4, rest), 508u);
  EXPECT_TRUE(std::equal(expected.begin() + 2, expected.begin() + 510, rest.begin()));
  EXPECT_EQ(channel.read_port_block(kData, 4, rest), 0u);
  EXPECT_EQ(in(kStatus), 0x58);
  EXPECT_EQ(channel.read_port(kData, 4), uint32_t{expected[510]} | uint32_t{expected[511]} << 8);
  EXPECT_EQ(in(kStatus), 0x50);

  command28(0x30, 7, 1);
  const Bytes data = pattern(512, 9);
  channel.write_port(kData, 2, data[0] | data[1] << 8);
  EXPECT_EQ(channel.write_port_block(kData, 1, data), 0u);
  EXPECT_EQ(channel.write_port_block(kData, 4, std::span(data).subspan(2)), 508u);
  EXPECT_EQ(channel.write_port_block(kData, 4, std::span(data).subspan(510)), 0u);
  channel.write_port(kData, 4, data[510] | data[511] << 8);
  wait();
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(on_disk(7, 1), data);
}

TEST_F(AtaDiskTest, ChsAddressesFollowTheCurrentTranslation) {
  const auto chs = [&](uint16_t cylinder, uint8_t head, uint8_t sector) {
    out(0x1f6, 0xa0u | head);
    out(0x1f2, 1);
    out(0x1f3, sector);
    out(0x1f4, cylinder & 0xff);
    out(0x1f5, cylinder >> 8);
    out(kStatus, 0x20);
    wait();
  };
  chs(3, 2, 63);
  EXPECT_EQ(read_data(512), on_disk((3 * 16 + 2) * 63 + 62, 1));
  EXPECT_EQ(in(0x1f3), 63);
  EXPECT_EQ(in(0x1f6), 0xa2);
  chs(0, 0, 0);
  expect_error(0x10);
  chs(0, 0, 64);
  expect_error(0x10);
  chs(kSectors / (16 * 63), 0, 1);
  expect_error(0x10);
  out(0x1f6, 0xa3);
  out(0x1f2, 17);
  out(kStatus, 0x91);
  wait();
  EXPECT_EQ(in(kStatus), 0x50);
  chs(5, 3, 17);
  EXPECT_EQ(read_data(512), on_disk((5 * 4 + 3) * 17 + 16, 1));
  chs(5, 4, 1);
  expect_error(0x10);
  EXPECT_EQ(word(identify(), 55), 4);
  out(0x1f2, 0);
  out(kStatus, 0x91);
  wait();
  expect_error(0x04);
}

TEST_F(AtaDiskTest, Lba48ReachesItsSectorsAndShowsThemThroughHob) {
  command48(0x24, 0x20000, 2);
  wait();
  EXPECT_EQ(read_data(512), on_disk(0x20000, 1));
  wait();
  EXPECT_EQ(read_data(512), on_disk(0x20001, 1));
  EXPECT_EQ(in(0x1f3), 0x01);
  EXPECT_EQ(in(0x1f5), 0x02);
  command48(0x27, 0, 0);
  wait();
  EXPECT_EQ(in(0x1f3) | in(0x1f4) << 8 | in(0x1f5) << 16, static_cast<int>(kSectors - 1));
  command48(0x24, 0x123456789a, 1);
  wait();
  expect_error(0x10);
  out(kControl, 0x80);
  EXPECT_EQ(in(0x1f3), 0x34 + 0x00) << "bits 24-31";
  EXPECT_EQ(in(0x1f4), 0x12);
  out(0x1f2, 0);
  EXPECT_EQ(in(0x1f3), 0x9a) << "a register write clears HOB";
}

TEST_F(AtaDiskTest, RangesPastTheEndShowTheFirstBadSector) {
  command28(0x20, kSectors - 1, 2);
  wait();
  expect_error(0x10);
  EXPECT_EQ(in(0x1f3) | in(0x1f4) << 8 | in(0x1f5) << 16, static_cast<int>(kSectors));
  command28(0x30, kSectors, 1);
  EXPECT_EQ(in(kControl), 0x80);
  EXPECT_FALSE(line.level);
  wait();
  expect_error(0x10);
  command28(0x20, kSectors - 1, 1);
  wait();
  EXPECT_EQ(in(kStatus), 0x58);
}

TEST_F(AtaDiskTest, HostReadFailuresAreUncorrectableAtTheirSector) {
  disk.fail_reads_at = 42 * 512 + 5;
  command28(0xc4, 40, 8);
  wait();
  expect_error(0x40);
  EXPECT_EQ(in(0x1f3), 42);
  command28(0x40, 40, 8);
  wait();
  expect_error(0x40);
  EXPECT_EQ(in(0x1f3), 42);
  EXPECT_EQ(reports, (std::vector<std::string>{"cannot read"})) << "the same failure is told once";
}

TEST_F(AtaDiskTest, HostWriteFailuresAreDeviceFaults) {
  disk.fail_writes_at = 42 * 512;
  command28(0x30, 42, 1);
  write_data(Bytes(512));
  wait();
  expect_error(0x04, 0x71);
  EXPECT_EQ(in(0x1f3), 42);
  disk.fail_flush = true;
  simple(0xe7);
  expect_error(0x04, 0x71);
  EXPECT_EQ(reports, (std::vector<std::string>{"cannot write", "cannot flush"}));
}

TEST_F(AtaDiskTest, AReadOnlyImageAbortsWrites) {
  disk.read_only_image = true;
  command28(0x30, 42, 1);
  wait();
  expect_error(0x04);
  command28(0xca, 42, 1);
  wait();
  expect_error(0x04);
}

TEST_F(AtaDiskTest, FlushMakesWritesDurableAndSoDoesAnAbsentCache) {
  command28(0x30, 42, 1);
  write_data(Bytes(512));
  wait();
  EXPECT_EQ(disk.unflushed_writes, 1u);
  simple(0xe7);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(disk.unflushed_writes, 0u);
  simple(0xef, 0x82);
  EXPECT_EQ(word(identify(), 85) & 0x20, 0);
  command28(0x30, 42, 1);
  write_data(Bytes(512));
  wait();
  EXPECT_EQ(disk.unflushed_writes, 0u);
  disk.fail_flush = true;
  command28(0x30, 42, 1);
  write_data(Bytes(512));
  wait();
  expect_error(0x04, 0x71);
}

TEST_F(AtaDiskTest, SetFeaturesSelectsTransferModes) {
  simple(0xef, 0x03, 0x22);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(word(identify(), 63), 0x0407);
  simple(0xef, 0x03, 0x45);
  EXPECT_EQ(word(identify(), 88), 0x203f);
  EXPECT_EQ(word(identify(), 63), 0x0007);
  simple(0xef, 0x03, 0x46);
  expect_error(0x04);
  simple(0xef, 0x99);
  expect_error(0x04);
}

TEST_F(AtaDiskTest, PowerManagement) {
  simple(0xe5);
  EXPECT_EQ(in(0x1f2), 0xff);
  simple(0xe0);
  simple(0xe5);
  EXPECT_EQ(in(0x1f2), 0x00);
  simple(0xe6);
  EXPECT_EQ(in(kStatus), 0x50);
  simple(0xec);
  EXPECT_EQ(in(kStatus), 0x50) << "a sleeping disk hears nothing";
  out(kControl, 0x04);
  out(kControl, 0x00);
  clock.advance(1'000'000);
  simple(0xec);
  EXPECT_EQ(in(kStatus), 0x58);
}

TEST_F(AtaDiskTest, UnknownAndPacketCommandsAreAborted) {
  for (const uint8_t opcode : {0x00, 0xa0, 0xa1, 0xb0, 0x08, 0xff, 0xf9, 0x37}) {
    simple(opcode);
    expect_error(0x04);
  }
}

TEST_F(AtaDiskTest, SoftResetPostsTheSignature) {
  command28(0x20, 1000, 3);
  out(kControl, 0x04);
  EXPECT_EQ(in(kStatus), 0x80);
  out(kControl, 0x00);
  EXPECT_EQ(in(kStatus), 0x80);
  clock.advance(1'000'000);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(in(0x1f1), 0x01);
  EXPECT_EQ(in(0x1f2), 0x01);
  EXPECT_EQ(in(0x1f3), 0x01);
  EXPECT_EQ(in(0x1f6), 0x00);
  EXPECT_FALSE(line.level);
}

TEST_F(AtaDiskTest, DmaReadWaitsForTheEngine) {
  command28(0xc8, 300, 200);
  wait();
  EXPECT_EQ(in(kControl), 0x58);
  EXPECT_FALSE(line.level);
  start_engine(200 * 512);
  EXPECT_FALSE(line.level);
  wait();
  EXPECT_TRUE(line.level);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(engine.memory, on_disk(300, 200));
}

TEST_F(AtaDiskTest, DmaWrites) {
  engine.memory = pattern(300 * 512, 9);
  command48(0x35, 300, 300);
  start_engine(300 * 512);
  wait();
  wait();
  EXPECT_TRUE(line.level);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(on_disk(300, 300), engine.memory);
}

TEST_F(AtaDiskTest, AnEngineThatRunsDryCanBeStartedAgain) {
  for (const uint8_t opcode : {0xc8, 0xca}) {
    engine.memory = pattern(2048, 3);
    const Bytes before = engine.memory;
    command28(opcode, 300, 4);
    start_engine(700);
    wait();
    wait();
    EXPECT_EQ(in(kStatus), 0x58) << "still wants to move data";
    EXPECT_FALSE(line.level);
    const Bytes first(engine.memory.begin(), engine.memory.begin() + 700);
    engine.memory.erase(engine.memory.begin(), engine.memory.begin() + 700);
    start_engine(2048 - 700);
    wait();
    EXPECT_TRUE(line.level);
    EXPECT_EQ(in(kStatus), 0x50);
    Bytes all = first;
    all.insert(all.end(), engine.memory.begin(), engine.memory.end());
    EXPECT_EQ(all, on_disk(300, 4));
    if (opcode == 0xca) {
      EXPECT_EQ(all, before);
    }
  }
}

TEST_F(AtaDiskTest, StateSurvivesInTheMiddleOfTransfers) {
  const auto copy_of = [&](BlockBackend& backend) {
    StateArchive saved;
    channel.serialize(saved);
    auto copy = std::make_unique<IdeChannel>(IdeChannel::kPrimary, IrqLine(line, 14));
    copy->set_dma_engine(&engine);
    copy->attach(0, std::make_unique<AtaDisk>(clock, backend, AtaIdentity{}));
    StateArchive loading(saved.data());
    copy->serialize(loading);
    EXPECT_TRUE(loading.status().has_value());
    return copy;
  };
  command28(0x20, 1000, 2);
  wait();
  (void)read_data(100);
  const auto reading = copy_of(disk);
  Bytes rest(412);
  EXPECT_EQ(reading->read_port_block(kData, 2, rest), 412u);
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), disk.data.begin() + 1000 * 512 + 100));
  wait();
  Bytes second(512);
  EXPECT_EQ(reading->read_port_block(kData, 2, second), 512u);
  EXPECT_EQ(second, on_disk(1001, 1));

  out(kControl, 0x04);
  out(kControl, 0x00);
  wait();
  wait();
  wait();
  engine.memory = pattern(1024, 8);
  const Bytes expected = engine.memory;
  command28(0xca, 50, 2);
  start_engine(600);
  wait();
  const auto writing = copy_of(disk);
  engine.memory.erase(engine.memory.begin(), engine.memory.begin() + 600);
  engine.position = 0;
  engine.limit = 424;
  writing->dma_started();
  wait();
  EXPECT_EQ(on_disk(50, 2), expected);
}

TEST_F(AtaDiskTest, AStateOfAnotherDiskIsRefused) {
  StateArchive saved;
  channel.serialize(saved);
  BlockBackendForTest other(512);
  IdeChannel copy(IdeChannel::kPrimary, IrqLine());
  copy.attach(0, std::make_unique<AtaDisk>(clock, other, AtaIdentity{}));
  StateArchive loading(saved.data());
  copy.serialize(loading);
  EXPECT_FALSE(loading.status().has_value());
}

TEST(AtaDisk, AnEmptyOrTinyImageIsHarmless) {
  ManualClock clock;
  BlockBackendForTest empty(0);
  IdeChannel channel(IdeChannel::kPrimary, IrqLine());
  channel.attach(0, std::make_unique<AtaDisk>(clock, empty, AtaIdentity{}));
  for (const unsigned opcode : {0x20u, 0x30u, 0x40u, 0xf8u, 0x27u, 0xecu, 0x70u}) {
    channel.write_port(0x1f6, 1, 0xe0);
    channel.write_port(kStatus, 1, opcode);
    clock.advance(10'000);
    channel.write_port(kControl, 1, 4);
    channel.write_port(kControl, 1, 0);
    clock.advance(100'000);
  }
  EXPECT_EQ(channel.read_port(kStatus, 1), 0x50u);
  BlockBackendForTest odd(700);
  AtaDisk disk(clock, odd, {});
  EXPECT_EQ(disk.sectors(), 2u);
}

}  // namespace
}  // namespace vitrine::devices
