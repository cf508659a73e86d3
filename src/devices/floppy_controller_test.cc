#include "devices/floppy_controller.h"

#include <gtest/gtest.h>

#include <vector>

#include "devices/block_backend_for_test.h"

namespace vitrine::devices {
namespace {

constexpr uint16_t kDor = 0x3f2;
constexpr uint16_t kMsr = 0x3f4;
constexpr uint16_t kFifo = 0x3f5;
constexpr uint16_t kDir = 0x3f7;
constexpr uint8_t kToMemory = 0x46;
constexpr uint8_t kFromMemory = 0x4a;

using Bytes = std::vector<uint8_t>;

struct Line : IrqSink {
  bool level = false;
  unsigned edges = 0;
  void set_irq_line(unsigned line, bool now) override {
    EXPECT_EQ(line, 6u);
    edges += now && !level;
    level = now;
  }
};

class FloppyControllerTest : public testing::Test {
 protected:
  FloppyControllerTest() {
    map.add(memory::Placement::ram(PhysicalAddress(0), ram->size(), *ram, 0));
    fdc.drive(0).connect(FloppyDriveType::Inch3High1440K);
    disk.fill_sectors(512);
    fdc.drive(0).insert(&disk);
    start();
  }

  void out(uint16_t port, uint8_t value) { fdc.write_port(port, 1, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(fdc.read_port(port, 1)); }
  void wait() { clock.advance(1'000'000); }

  void start() {
    out(kDor, 0x00);
    out(kDor, 0x1c);
    wait();
    for (int i = 0; i < 4; ++i) command({0x08});
    command({0x03, 0xaf, 0x02});
    out(kDir, 0);  // 500 kbit/s
  }

  /// Sends a command and gives its result phase, if it has one at once.
  Bytes command(const Bytes& bytes) {
    for (const uint8_t byte : bytes) {
      EXPECT_EQ(in(kMsr)&0xc0, 0x80) << "the chip takes a byte";
      out(kFifo, byte);
    }
    return result();
  }
  Bytes result() {
    Bytes bytes;
    while ((in(kMsr)&0xd0) == 0xd0 && bytes.size() < 20) bytes.push_back(in(kFifo));
    return bytes;
  }
  /// A command with an execution phase: waits for its end.
  Bytes run(const Bytes& bytes) {
    EXPECT_TRUE(command(bytes).empty());
    wait();
    EXPECT_TRUE(line.level);
    const Bytes got = result();
    EXPECT_FALSE(line.level);
    EXPECT_EQ(in(kMsr)&0x9f, 0x80);
    return got;
  }
  void seek(uint8_t track) {
    command({0x0f, 0x00, track});
    wait();
    EXPECT_EQ(command({0x08}), (Bytes{0x20, track}));
  }

  void program_dma(uint8_t mode, uint16_t address, uint16_t bytes) {
    const auto dma_out = [&](uint16_t port, unsigned value) { dma.write_port(port, 1, value & 0xff); };
    dma_out(0x0a, 0x06);
    dma_out(0x0c, 0);
    dma_out(0x0b, mode);
    dma_out(0x04, address);
    dma_out(0x04, address >> 8);
    dma_out(0x05, bytes - 1u);
    dma_out(0x05, (bytes - 1u) >> 8);
    dma_out(0x81, 0);
    dma_out(0x0a, 0x02);
  }

  static size_t offset(size_t track, size_t head, size_t sector) {
    return ((track * 2 + head) * 18 + sector - 1) * 512;
  }
  bool memory_equals(size_t address, size_t disk_offset, size_t size) {
    return std::equal(ram->data() + address, ram->data() + address + size,
                      disk.data.begin() + static_cast<long>(disk_offset));
  }

  std::unique_ptr<memory::RamBlock> ram = memory::RamBlock::create("ram", 1 << 20).value();
  memory::PhysicalMap map;
  ManualClock clock;
  Line line;
  Dma8237a dma{map};
  FloppyController fdc{clock, dma, IrqLine(line, 6)};
  BlockBackendForTest disk{1440 * 1024};
};

TEST_F(FloppyControllerTest, ResetInterruptsAndIsSensedFourTimes) {
  out(kDor, 0x18);
  EXPECT_EQ(in(kMsr), 0x00);
  wait();
  EXPECT_FALSE(line.level);
  out(kDor, 0x1c);
  EXPECT_EQ(in(kMsr), 0x00);
  wait();
  EXPECT_TRUE(line.level);
  for (uint8_t i = 0; i < 4; ++i) {
    EXPECT_EQ(command({0x08}), (Bytes{static_cast<uint8_t>(0xc0 | i), 0}));
    EXPECT_FALSE(line.level);
  }
  EXPECT_EQ(command({0x08}), (Bytes{0x80}));
}

TEST_F(FloppyControllerTest, TheDmaGateHoldsTheInterruptBack) {
  out(kDor, 0x10);
  out(kDor, 0x14);
  wait();
  EXPECT_FALSE(line.level);
  out(kDor, 0x1c);
  EXPECT_TRUE(line.level);
}

TEST_F(FloppyControllerTest, ResetThroughTheDataRateRegister) {
  out(kMsr, 0x80);
  EXPECT_EQ(in(kMsr), 0x00);
  wait();
  EXPECT_TRUE(line.level);
}

TEST_F(FloppyControllerTest, IdentifiesItself) {
  EXPECT_EQ(command({0x10}), (Bytes{0x90}));
  EXPECT_EQ(command({0x1f}), (Bytes{0x80}));
  EXPECT_EQ(command({0x94}), (Bytes{0x10}));
}

TEST_F(FloppyControllerTest, DumpsItsRegisters) {
  command({0x13, 0x00, 0x57, 0x20});
  command({0x12, 0x86});
  seek(9);
  EXPECT_EQ(command({0x0e}), (Bytes{9, 0, 0, 0, 0xaf, 0x02, 0, 0x06, 0x57, 0x20}));
}

TEST_F(FloppyControllerTest, LockKeepsFifoParametersOverReset) {
  command({0x13, 0x00, 0x57, 0x20});
  command({0x94});
  start();
  EXPECT_EQ(command({0x0e})[8], 0x07);
  EXPECT_EQ(command({0x0e})[9], 0x20);
  command({0x14});
  start();
  EXPECT_EQ(command({0x0e})[8], 0x20);
}

TEST_F(FloppyControllerTest, RecalibrateAndSeekReportTheCylinder) {
  command({0x0f, 0x00, 40});
  EXPECT_EQ(in(kMsr), 0x81) << "drive 0 is busy seeking";
  EXPECT_FALSE(line.level);
  wait();
  EXPECT_TRUE(line.level);
  EXPECT_EQ(command({0x08}), (Bytes{0x20, 40}));
  EXPECT_EQ(command({0x04, 0x00}), (Bytes{0x28}));
  command({0x07, 0x00});
  wait();
  EXPECT_EQ(command({0x08}), (Bytes{0x20, 0}));
  EXPECT_EQ(command({0x04, 0x00}), (Bytes{0x38}));
}

TEST_F(FloppyControllerTest, RecalibrateOfAnAbsentDriveFindsNoTrack0) {
  command({0x07, 0x01});
  wait();
  EXPECT_EQ(command({0x08}), (Bytes{0x71, 0}));
}

TEST_F(FloppyControllerTest, RecalibrateGivesUpAfter79Steps) {
  seek(82);
  command({0x07, 0x00});
  wait();
  EXPECT_EQ(command({0x08}), (Bytes{0x70, 0}));
  command({0x07, 0x00});
  wait();
  EXPECT_EQ(command({0x08}), (Bytes{0x20, 0}));
}

TEST_F(FloppyControllerTest, RelativeSeekMovesFromWhereItIs) {
  seek(10);
  command({0xcf, 0x00, 5});
  wait();
  EXPECT_EQ(command({0x08}), (Bytes{0x20, 15}));
  command({0x8f, 0x00, 3});
  wait();
  EXPECT_EQ(command({0x08}), (Bytes{0x20, 12}));
}

TEST_F(FloppyControllerTest, ReadsSectorsByDmaUntilTerminalCount) {
  seek(3);
  program_dma(kToMemory, 0x1000, 3 * 512);
  EXPECT_EQ(run({0xe6, 0x04, 3, 1, 4, 2, 18, 0x1b, 0xff}), (Bytes{0x04, 0, 0, 3, 1, 7, 2}));
  EXPECT_TRUE(memory_equals(0x1000, offset(3, 1, 4), 3 * 512));
  EXPECT_EQ(ram->data()[0x1000 + 3 * 512], 0);
}

TEST_F(FloppyControllerTest, MultiTrackGoesOnToTheOtherSide) {
  program_dma(kToMemory, 0x1000, 36 * 512);
  EXPECT_EQ(run({0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x04, 0, 0, 1, 0, 1, 2}));
  EXPECT_TRUE(memory_equals(0x1000, 0, 36 * 512));
  program_dma(kToMemory, 0x1000, 18 * 512);
  EXPECT_EQ(run({0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x00, 0, 0, 0, 1, 1, 2}));
}

TEST_F(FloppyControllerTest, WithoutTerminalCountTheTrackEndsInAnError) {
  program_dma(kToMemory, 0x1000, 20 * 512);
  EXPECT_EQ(run({0x46, 0x00, 0, 0, 17, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x80, 0, 1, 0, 1, 2}));
  EXPECT_TRUE(memory_equals(0x1000, offset(0, 0, 17), 1024));
  program_dma(kToMemory, 0x1000, 2 * 512);
  EXPECT_EQ(run({0x46, 0x00, 0, 0, 17, 2, 18, 0x1b, 0xff}), (Bytes{0x00, 0, 0, 1, 0, 1, 2}))
      << "terminal count in time";
}

TEST_F(FloppyControllerTest, MissingSectorsAndCylindersAreReported) {
  program_dma(kToMemory, 0x1000, 512);
  EXPECT_EQ(run({0x46, 0x00, 0, 0, 19, 2, 36, 0x1b, 0xff}), (Bytes{0x40, 0x04, 0, 0, 0, 19, 2}));
  EXPECT_EQ(run({0x46, 0x00, 7, 0, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x04, 0x10, 7, 0, 1, 2}));
  EXPECT_EQ(run({0x46, 0x00, 0, 1, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x04, 0, 0, 1, 1, 2}))
      << "H differs from the head";
  EXPECT_EQ(run({0x46, 0x00, 0, 0, 1, 3, 18, 0x1b, 0xff}), (Bytes{0x40, 0x04, 0, 0, 0, 1, 3}))
      << "1024-byte sectors";
  EXPECT_EQ(run({0x06, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x01, 0, 0, 0, 1, 2})) << "FM";
  seek(81);
  EXPECT_EQ(run({0x46, 0x00, 81, 0, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x01, 0, 81, 0, 1, 2}));
}

TEST_F(FloppyControllerTest, WrongDataRateOrNoDisketteMeansNoAddressMark) {
  out(kDir, 2);
  EXPECT_EQ(run({0x4a, 0x00})[1], 0x01);
  out(kDir, 0);
  EXPECT_EQ(run({0x4a, 0x00}), (Bytes{0x00, 0, 0, 0, 0, 1, 2}));
  EXPECT_EQ(run({0x4a, 0x04}), (Bytes{0x04, 0, 0, 0, 1, 2, 2})) << "the next sector passes";
  fdc.drive(0).insert(nullptr);
  EXPECT_EQ(run({0x4a, 0x00})[0], 0x40);
  EXPECT_EQ(run({0x4a, 0x01})[0], 0x41);
}

TEST_F(FloppyControllerTest, WritesSectorsByDmaAndPadsTheLastOne) {
  for (size_t i = 0; i < 700; ++i) ram->data()[0x1000 + i] = static_cast<uint8_t>(i * 3 + 1);
  program_dma(kFromMemory, 0x1000, 700);
  EXPECT_EQ(run({0xc5, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff}), (Bytes{0x00, 0, 0, 0, 0, 7, 2}));
  EXPECT_TRUE(memory_equals(0x1000, offset(0, 0, 5), 700));
  EXPECT_EQ(disk.data[offset(0, 0, 5) + 700], 0);
  EXPECT_EQ(disk.data[offset(0, 0, 5) + 1023], 0);
  EXPECT_NE(disk.data[offset(0, 0, 5) + 1025], 0);
}

TEST_F(FloppyControllerTest, WriteProtectionAndHostFailuresReachTheGuest) {
  std::vector<std::string> reports;
  fdc.set_error_callback([&](const Error& error) { reports.push_back(error.what); });
  program_dma(kFromMemory, 0x1000, 512);
  disk.read_only_image = true;
  EXPECT_EQ(command({0x04, 0x00}), (Bytes{0x78}));
  EXPECT_EQ(run({0xc5, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x02, 0, 0, 0, 5, 2}));
  disk.read_only_image = false;
  disk.fail_writes_at = offset(0, 0, 5);
  EXPECT_EQ(run({0xc5, 0x00, 0, 0, 5, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x20, 0, 0, 0, 5, 2}));
  disk.fail_reads_at = offset(0, 0, 6);
  program_dma(kToMemory, 0x1000, 512);
  EXPECT_EQ(run({0xe6, 0x00, 0, 0, 6, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x20, 0x20, 0, 0, 6, 2}));
  EXPECT_EQ(run({0xe6, 0x00, 0, 0, 6, 2, 18, 0x1b, 0xff})[0], 0x40);
  EXPECT_EQ(reports, (std::vector<std::string>{"cannot write", "cannot read"}));
}

TEST_F(FloppyControllerTest, ADmaChannelThatNeverGetsReadyIsAnOverrun) {
  EXPECT_TRUE(command({0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff}).empty());
  clock.advance(50'000'000);
  EXPECT_FALSE(line.level);
  clock.advance(kNanosecondsPerSecond);
  EXPECT_EQ(result(), (Bytes{0x40, 0x10, 0, 0, 0, 1, 2}));
}

TEST_F(FloppyControllerTest, ADmaChannelMayGetReadyLate) {
  command({0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff});
  wait();
  program_dma(kToMemory, 0x1000, 512);
  wait();
  EXPECT_EQ(result()[0], 0x00);
  EXPECT_TRUE(memory_equals(0x1000, 0, 512));
}

TEST_F(FloppyControllerTest, ReadsWithoutDma) {
  command({0x03, 0xaf, 0x03});
  EXPECT_TRUE(command({0x46, 0x00, 0, 0, 17, 2, 18, 0x1b, 0xff}).empty());
  EXPECT_EQ(in(kMsr), 0x30);
  Bytes data;
  for (int sector = 0; sector < 2; ++sector) {
    wait();
    EXPECT_TRUE(line.level);
    while (in(kMsr) == 0xf0) data.push_back(in(kFifo));
  }
  EXPECT_EQ(data.size(), 1024u);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), disk.data.begin() + static_cast<long>(offset(0, 0, 17))));
  // "Non-DMA mode": nothing gives terminal count, so the track's end is where it ends.
  EXPECT_EQ(result(), (Bytes{0x40, 0x80, 0, 1, 0, 1, 2}));
}

TEST_F(FloppyControllerTest, WritesWithoutDma) {
  command({0x03, 0xaf, 0x03});
  command({0x45, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff});
  wait();
  EXPECT_TRUE(line.level);
  for (int i = 0; i < 512; ++i) {
    ASSERT_EQ(in(kMsr), 0xb0);
    out(kFifo, static_cast<uint8_t>(i ^ 0x5a));
  }
  EXPECT_EQ(result()[1], 0x80);
  EXPECT_EQ(disk.data[offset(0, 0, 18)], 0x5a);
  EXPECT_EQ(disk.data[offset(0, 0, 18) + 511], 0xff ^ 0x5a);
}

TEST_F(FloppyControllerTest, FormatsATrack) {
  seek(2);
  for (uint8_t i = 0; i < 18; ++i) {
    const uint8_t id[4] = {2, 1, static_cast<uint8_t>(i + 1), 2};
    std::copy(id, id + 4, ram->data() + 0x1000 + i * 4);
  }
  program_dma(kFromMemory, 0x1000, 18 * 4);
  EXPECT_EQ(run({0x4d, 0x04, 2, 18, 0x54, 0xf6})[0], 0x04);
  EXPECT_TRUE(std::all_of(disk.data.begin() + static_cast<long>(offset(2, 1, 1)),
                          disk.data.begin() + static_cast<long>(offset(3, 0, 1)),
                          [](uint8_t byte) { return byte == 0xf6; }));
  EXPECT_NE(disk.data[offset(3, 0, 1) + 1], 0xf6);
}

TEST_F(FloppyControllerTest, VerifiesWithoutMovingData) {
  EXPECT_EQ(run({0x56, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x00, 0, 0, 1, 0, 1, 2}));
  EXPECT_EQ(run({0x56, 0x80, 0, 0, 1, 2, 18, 0x1b, 4}), (Bytes{0x00, 0, 0, 0, 0, 5, 2}));
  disk.fail_reads_at = offset(0, 0, 3);
  EXPECT_EQ(run({0x56, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x40, 0x20, 0x20, 0, 0, 3, 2}));
}

TEST_F(FloppyControllerTest, ReadsATrackFromTheIndexHole) {
  program_dma(kToMemory, 0x1000, 2 * 512);
  const Bytes got = run({0x42, 0x00, 0, 0, 9, 2, 18, 0x1b, 0xff});
  EXPECT_EQ(got[0], 0x00);
  EXPECT_TRUE(memory_equals(0x1000, 0, 2 * 512)) << "whatever R says";
}

TEST_F(FloppyControllerTest, ReadDeletedDataStopsAtAnOrdinarySector) {
  program_dma(kToMemory, 0x1000, 2 * 512);
  EXPECT_EQ(run({0x4c, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff}), (Bytes{0x00, 0, 0x40, 0, 0, 1, 2}));
  EXPECT_TRUE(memory_equals(0x1000, 0, 512));
}

TEST_F(FloppyControllerTest, ImpliedSeekMovesTheHead) {
  command({0x13, 0x00, 0x57, 0x00});
  program_dma(kToMemory, 0x1000, 512);
  EXPECT_EQ(run({0xe6, 0x00, 12, 0, 1, 2, 18, 0x1b, 0xff})[0], 0x00);
  EXPECT_TRUE(memory_equals(0x1000, offset(12, 0, 1), 512));
}

TEST_F(FloppyControllerTest, TheChangeLineFallsWithAStep) {
  EXPECT_EQ(in(kDir), 0x80);
  seek(1);
  EXPECT_EQ(in(kDir), 0x00);
  fdc.drive(0).insert(nullptr);
  EXPECT_EQ(in(kDir), 0x80);
  seek(2);
  EXPECT_EQ(in(kDir), 0x80) << "no diskette, no reset of the line";
  fdc.drive(0).insert(&disk);
  EXPECT_EQ(in(kDir), 0x80);
  out(kDor, 0x0c);
  EXPECT_EQ(in(kDir), 0x00) << "the motor bit selects";
}

TEST_F(FloppyControllerTest, StateSurvivesInTheMiddleOfATransfer) {
  seek(3);
  command({0x03, 0xaf, 0x03});
  command({0x46, 0x00, 3, 0, 17, 2, 18, 0x1b, 0xff});
  wait();
  Bytes data;
  for (int i = 0; i < 100; ++i) data.push_back(in(kFifo));
  StateArchive saved;
  fdc.serialize(saved);
  out(kDor, 0);  // what the original does now must not matter

  FloppyController copy(clock, dma, IrqLine(line, 6));
  copy.drive(0).connect(FloppyDriveType::Inch3High1440K);
  copy.drive(0).insert(&disk);
  StateArchive loading(saved.data());
  copy.serialize(loading);
  ASSERT_TRUE(loading.status().has_value()) << loading.status().error().message();
  while (data.size() < 1024) {
    ASSERT_EQ(copy.read_port(kMsr, 1), 0xf0u) << data.size();
    data.push_back(static_cast<uint8_t>(copy.read_port(kFifo, 1)));
    if (data.size() == 512) wait();
  }
  EXPECT_TRUE(std::equal(data.begin(), data.end(), disk.data.begin() + static_cast<long>(offset(3, 0, 17))));
}

TEST_F(FloppyControllerTest, DamagedStateIsRefused) {
  StateArchive saved;
  fdc.serialize(saved);
  for (size_t at = 0; at < 120 && at < saved.data().size(); ++at) {
    Bytes bytes = saved.data();
    bytes[at] = 0xff;
    StateArchive loading(bytes);
    FloppyController copy(clock, dma, IrqLine(line, 6));
    copy.serialize(loading);
    for (int i = 0; i < 30; ++i) {
      (void)copy.read_port(kFifo, 1);
      copy.write_port(kFifo, 1, 0x4a);
      wait();
    }
  }
}

TEST(FloppyFormat, FollowsTheImageSize) {
  EXPECT_EQ(floppy_format(160 * 1024).sectors, 8);
  EXPECT_EQ(floppy_format(360 * 1024).tracks, 40);
  EXPECT_EQ(floppy_format(720 * 1024).sectors, 9);
  EXPECT_EQ(floppy_format(1200 * 1024).sectors, 15);
  EXPECT_EQ(floppy_format(1440 * 1024).sectors, 18);
  EXPECT_EQ(floppy_format(2880 * 1024).sectors, 36);
  EXPECT_EQ(floppy_format(512).sectors, 18) << "a lone boot sector";
  EXPECT_EQ(floppy_format(2'000'000).sectors, 36);
  EXPECT_EQ(floppy_format(10'000'000).sectors, 36);
}

}  // namespace
}  // namespace vitrine::devices
