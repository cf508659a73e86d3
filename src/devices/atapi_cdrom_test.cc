#include "devices/atapi_cdrom.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "devices/block_backend_for_test.h"
#include "devices/ide_channel.h"
#include "devices/irq_sink_for_test.h"

namespace vitrine::devices {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint16_t kStatus = 0x177;
constexpr size_t kBlocks = 5000;

struct Engine : AtaDmaEngine {
  Bytes memory;
  size_t limit = 0;
  [[nodiscard]] bool started() const override { return memory.size() < limit; }
  size_t to_memory(std::span<const uint8_t> data) override {
    const size_t bytes = std::min(data.size(), limit - memory.size());
    memory.insert(memory.end(), data.begin(), data.begin() + static_cast<long>(bytes));
    return bytes;
  }
  size_t from_memory(std::span<uint8_t>) override { return 0; }
  void interrupt_changed(bool) override {}
};

class AtapiCdromTest : public testing::Test {
 protected:
  AtapiCdromTest() {
    disc.fill_sectors(2048);
    channel.set_dma_engine(&engine);
    auto made = std::make_unique<AtapiCdrom>(clock, AtaIdentity{"TEST CD", "SN2", "2.1"});
    drive = made.get();
    channel.attach(0, std::move(made));
    drive->insert(&disc);
    packet({0x00});  // the unit attention of the insertion
  }

  void out(uint16_t port, uint32_t value, unsigned size = 1) { channel.write_port(port, size, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(channel.read_port(port, 1)); }
  void wait() { clock.advance(10'000); }

  void send_packet(Bytes packet, uint16_t limit, uint8_t features) {
    packet.resize(12);
    out(0x176, 0xa0);
    out(0x171, features);
    out(0x174, limit & 0xff);
    out(0x175, limit >> 8);
    out(kStatus, 0xa0);
    EXPECT_EQ(in(kStatus), 0x58);
    EXPECT_EQ(in(0x172), 0x01) << "waiting for the packet";
    for (size_t i = 0; i < 12; i += 2) out(0x170, packet[i] | packet[i + 1] << 8u, 2);
    EXPECT_EQ(in(0x376), 0x80);
    wait();
  }
  /// A packet by PIO: its data. `last_status_` is the final status, `blocks_` the sizes of the data blocks.
  Bytes packet(const Bytes& packet, uint16_t limit = 2048) {
    send_packet(packet, limit, 0);
    Bytes data;
    block_sizes.clear();
    while (true) {
      EXPECT_TRUE(line.level);
      last_status = in(kStatus);
      EXPECT_FALSE(line.level);
      if ((last_status & 0x08) == 0) break;
      EXPECT_EQ(in(0x172), 0x02);
      const size_t size = in(0x174) | in(0x175) << 8u;
      EXPECT_LE(size, limit);
      block_sizes.push_back(size);
      Bytes block(size);
      const size_t words = size - size % 2;
      EXPECT_EQ(channel.read_port_block(0x170, 2, block), words);
      if (words < size) block.back() = static_cast<uint8_t>(channel.read_port(0x170, 2));
      data.insert(data.end(), block.begin(), block.end());
      wait();
    }
    EXPECT_EQ(in(0x172), 0x03);
    return data;
  }
  Bytes sense() {
    const Bytes data = packet({0x03, 0, 0, 0, 18});
    return {data[2], data[12], data[13]};
  }
  void expect_refused(const Bytes& what, const Bytes& why) {
    packet(what);
    EXPECT_EQ(last_status, 0x51);
    EXPECT_EQ(in(0x171), why[0] << 4);
    EXPECT_EQ(sense(), why);
  }
  [[nodiscard]] Bytes on_disc(size_t block, size_t count) const {
    const auto from = disc.data.begin() + static_cast<long>(block * 2048);
    return {from, from + static_cast<long>(count * 2048)};
  }

  ManualClock clock;
  IrqSinkForTest line;
  Engine engine;
  BlockBackendForTest disc{kBlocks * 2048};
  IdeChannel channel{IdeChannel::kSecondary, IrqLine(line, 15)};
  AtapiCdrom* drive = nullptr;
  uint8_t last_status = 0;
  std::vector<size_t> block_sizes;
};

TEST_F(AtapiCdromTest, ResetsAndForeignCommandsShowTheSignature) {
  out(0x376, 4);
  out(0x376, 0);
  clock.advance(100'000);
  EXPECT_EQ(in(kStatus), 0x00);
  EXPECT_EQ(in(0x171), 0x01);
  EXPECT_EQ(in(0x174), 0x14);
  EXPECT_EQ(in(0x175), 0xeb);
  for (const uint8_t opcode : {0xec, 0x20}) {
    out(0x174, 0);
    out(kStatus, opcode);
    wait();
    EXPECT_TRUE(line.level);
    EXPECT_EQ(in(kStatus), 0x51);
    EXPECT_EQ(in(0x171), 0x04);
    EXPECT_EQ(in(0x174), 0x14);
  }
  const unsigned rises = line.rises;
  out(kStatus, 0x08);
  EXPECT_EQ(in(kStatus), 0x80);
  clock.advance(100'000);
  EXPECT_EQ(in(kStatus), 0x00);
  EXPECT_EQ(in(0x175), 0xeb);
  EXPECT_EQ(line.rises, rises) << "DEVICE RESET ends without an interrupt";
}

TEST_F(AtapiCdromTest, IdentifiesItself) {
  out(kStatus, 0xa1);
  wait();
  EXPECT_EQ(in(kStatus), 0x58);
  EXPECT_EQ(channel.read_port(0x170, 2), 0x85c0u);
  Bytes rest(510);
  EXPECT_EQ(channel.read_port_block(0x170, 2, rest), 510u);
  EXPECT_EQ(std::string(rest.begin() + 52, rest.begin() + 60), "ETTSC  D");
  const Bytes inquiry = packet({0x12, 0, 0, 0, 36});
  EXPECT_EQ(inquiry.size(), 36u);
  EXPECT_EQ(inquiry[0], 0x05);
  EXPECT_EQ(std::string(inquiry.begin() + 16, inquiry.begin() + 23), "TEST CD");
  EXPECT_EQ(packet({0x12, 0, 0, 0, 5}).size(), 5u);
  EXPECT_TRUE(packet({0x12, 0, 0, 0, 0}).empty());
}

TEST_F(AtapiCdromTest, ReadsInBlocksOfTheByteLimit) {
  EXPECT_EQ(packet({0x28, 0, 0, 0, 0, 16, 0, 0, 2}), on_disc(16, 2));
  EXPECT_EQ(block_sizes, (std::vector<size_t>{2048, 2048}));
  EXPECT_EQ(packet({0xa8, 0, 0, 0, 0, 16, 0, 0, 0, 2}, 3001), on_disc(16, 2));
  EXPECT_EQ(block_sizes, (std::vector<size_t>{3000, 1096}));
  EXPECT_EQ(packet({0x28, 0, 0, 0, 0, 0, 0, 0, 40}, 0xffff), on_disc(0, 40));
  EXPECT_EQ(block_sizes, (std::vector<size_t>{65534, 16386}));
  EXPECT_TRUE(packet({0x28, 0, 0, 0, 0, 16, 0, 0, 0}).empty());
  EXPECT_EQ(last_status, 0x50);
}

TEST_F(AtapiCdromTest, AByteLimitOfZeroAbortsTransfersOnly) {
  packet({0x00}, 0);
  EXPECT_EQ(last_status, 0x50);
  packet({0x28, 0, 0, 0, 0, 16, 0, 0, 2}, 0);
  EXPECT_EQ(last_status, 0x51);
  EXPECT_EQ(in(0x171), 0x04);
}

TEST_F(AtapiCdromTest, ReadsByDma) {
  send_packet({0x28, 0, 0, 0, 0, 16, 0, 0, 100}, 0, 1);
  EXPECT_FALSE(line.level);
  EXPECT_EQ(in(0x376), 0x58);
  engine.limit = 70'000;
  channel.dma_started();
  wait();
  EXPECT_FALSE(line.level) << "the engine has run dry";
  engine.limit = 100 * 2048;
  channel.dma_started();
  wait();
  EXPECT_TRUE(line.level);
  EXPECT_EQ(in(kStatus), 0x50);
  EXPECT_EQ(in(0x172), 0x03);
  EXPECT_EQ(engine.memory, on_disc(16, 100));
}

TEST_F(AtapiCdromTest, ErrorsHaveTheirSense) {
  expect_refused({0x28, 0, 0, 0, 0x13, 0x87, 0, 0, 2}, {5, 0x21, 0});
  expect_refused({0x2b, 0, 0, 0, 0x13, 0x88}, {5, 0x21, 0});
  expect_refused({0x77}, {5, 0x20, 0});
  expect_refused({0x12, 1}, {5, 0x24, 0});
  EXPECT_EQ(sense(), (Bytes{0, 0, 0})) << "told once";
  unsigned reports = 0;
  drive->set_error_callback([&](const Error&) { ++reports; });
  disc.fail_reads_at = 17 * 2048;
  expect_refused({0x28, 0, 0, 0, 0, 17, 0, 0, 1}, {3, 0x11, 0});
  expect_refused({0x28, 0, 0, 0, 0, 17, 0, 0, 1}, {3, 0x11, 0});
  EXPECT_EQ(reports, 1u);
}

TEST_F(AtapiCdromTest, CapacityAndTableOfContents) {
  EXPECT_EQ(packet({0x25}), (Bytes{0, 0, 0x13, 0x87, 0, 0, 8, 0}));
  EXPECT_EQ(packet({0x43, 0, 0, 0, 0, 0, 0, 0, 255}),
            (Bytes{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0x13, 0x88}));
  // 5000 blocks are 1:06 and 50 frames; two seconds of pregap.
  EXPECT_EQ(packet({0x43, 2, 0, 0, 0, 0, 0xaa, 0, 255}), (Bytes{0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 1, 8, 50}));
  EXPECT_EQ(packet({0x43, 0, 1, 0, 0, 0, 0, 0, 255}), (Bytes{0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(packet({0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0x40}).size(), 12u) << "SFF-8020i's place of the format";
  const Bytes full = packet({0x43, 2, 2, 0, 0, 0, 0, 0, 255});
  EXPECT_EQ(full.size(), 48u);
  EXPECT_EQ(full[4 + 22 + 3], 0xa2);
  EXPECT_EQ(full[4 + 22 + 9], 8);
  expect_refused({0x43, 0, 0, 0, 0, 0, 2, 0, 255}, {5, 0x24, 0});
  expect_refused({0x43, 0, 5, 0, 0, 0, 0, 0, 255}, {5, 0x24, 0});
}

TEST_F(AtapiCdromTest, ReadCdSelectsParts) {
  const auto read_cd = [&](uint8_t fields, uint8_t type = 0) {
    return packet({0xbe, type, 0, 0, 0, 16, 0, 0, 2, fields, 0}, 2352);
  };
  EXPECT_EQ(read_cd(0x10), on_disc(16, 2));
  const Bytes raw = read_cd(0xf8);
  ASSERT_EQ(raw.size(), 2 * kCdRawSector);
  EXPECT_EQ(raw[2352 + 14], 0x17) << "frame of LBA 17";
  EXPECT_TRUE(std::equal(raw.begin() + 16, raw.begin() + 16 + 2048, disc.data.begin() + 16 * 2048));
  EXPECT_TRUE(std::equal(raw.begin() + 2368, raw.begin() + 2368 + 2048, disc.data.begin() + 17 * 2048));
  EXPECT_EQ(read_cd(0x30).size(), 2u * 2052);
  EXPECT_TRUE(read_cd(0x00).empty());
  EXPECT_EQ(read_cd(0x10, 0x08), on_disc(16, 2));
  EXPECT_EQ(packet({0xb9, 0, 0, 0, 2, 16, 0, 2, 18, 0x10}), on_disc(16, 2));
  expect_refused({0xbe, 0x04, 0, 0, 0, 16, 0, 0, 2, 0x10}, {5, 0x64, 0});
  expect_refused({0xbe, 0, 0, 0, 0, 16, 0, 0, 2, 0x12}, {5, 0x24, 0});
}

TEST_F(AtapiCdromTest, ModePages) {
  const Bytes page = packet({0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255});
  EXPECT_EQ(page.size(), 8u + 20);
  EXPECT_EQ(page[1], 26);
  EXPECT_EQ(page[2], 0x01);
  EXPECT_EQ(page[8], 0x2a);
  EXPECT_EQ(page[9], 18);
  EXPECT_EQ(packet({0x1a, 0, 0x01, 0, 255}).size(), 12u);
  EXPECT_GT(packet({0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255}).size(), 60u);
  EXPECT_EQ(packet({0x5a, 0, 0x6a, 0, 0, 0, 0, 0, 255})[14], 0) << "nothing can be changed";
  expect_refused({0x5a, 0, 0x05, 0, 0, 0, 0, 0, 255}, {5, 0x24, 0});
  expect_refused({0x5a, 0, 0xea, 0, 0, 0, 0, 0, 255}, {5, 0x39, 0});
}

TEST_F(AtapiCdromTest, ConfigurationNamesProfileAndFeatures) {
  const Bytes all = packet({0x46, 0, 0, 0, 0, 0, 0, 1, 0});
  EXPECT_EQ(all[7], 0x08);
  EXPECT_EQ(all[3] + 4u, all.size());
  EXPECT_EQ(packet({0x46, 2, 0, 0x1e, 0, 0, 0, 1, 0}).size(), 8u + 8);
  EXPECT_LT(packet({0x46, 1, 0, 0, 0, 0, 0, 1, 0}).size(), all.size());
  drive->insert(nullptr);
  EXPECT_EQ(packet({0x46, 0, 0, 0, 0, 0, 0, 1, 0})[7], 0x00);
}

TEST_F(AtapiCdromTest, SmallRepliesOfTheDisc) {
  EXPECT_EQ(packet({0x51, 0, 0, 0, 0, 0, 0, 0, 34}).size(), 34u);
  EXPECT_EQ(packet({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}).size(), 8u);
  EXPECT_EQ(packet({0x42, 2, 0x40, 1, 0, 0, 0, 0, 16}).size(), 16u);
  EXPECT_EQ(packet({0x42, 2, 0, 0, 0, 0, 0, 0, 4}), (Bytes{0, 0x15, 0, 0}));
  packet({0xbb});
  EXPECT_EQ(last_status, 0x50);
  expect_refused({0xad, 0, 0, 0, 0, 0, 0, 0, 0, 20}, {5, 0x30, 2});
}

TEST_F(AtapiCdromTest, AChangedMediumIsAUnitAttentionOnce) {
  drive->insert(&disc);
  EXPECT_EQ(packet({0x12, 0, 0, 0, 36}).size(), 36u) << "INQUIRY is exempt";
  expect_refused({0x25}, {6, 0x28, 0});
  EXPECT_EQ(packet({0x25}).size(), 8u);
  drive->insert(nullptr);
  expect_refused({0x00}, {2, 0x3a, 0});
  drive->insert(&disc);
  EXPECT_EQ(sense(), (Bytes{6, 0x28, 0})) << "or asked for";
  EXPECT_EQ(packet({0x25}).size(), 8u);
}

TEST_F(AtapiCdromTest, TheGuestEjectsAndLoadsUnlessLocked) {
  const auto event = [&] { return packet({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}); };
  EXPECT_EQ(event(), (Bytes{0, 6, 4, 0x10, 2, 2, 0, 0})) << "new medium, tray closed";
  EXPECT_EQ(event()[4], 0);
  packet({0x1e, 0, 0, 0, 1});
  EXPECT_TRUE(drive->locked());
  expect_refused({0x1b, 0, 0, 0, 2}, {5, 0x53, 2});
  drive->press_eject();
  EXPECT_FALSE(drive->tray_open());
  EXPECT_EQ(event()[4], 1) << "the guest is asked";
  packet({0x1e, 0, 0, 0, 0});
  packet({0x1b, 0, 0, 0, 2});
  EXPECT_TRUE(drive->tray_open());
  expect_refused({0x28, 0, 0, 0, 0, 16, 0, 0, 1}, {2, 0x3a, 0});
  packet({0x1b, 0, 0, 0, 3});
  expect_refused({0x00}, {6, 0x28, 0});
  EXPECT_EQ(packet({0x28, 0, 0, 0, 0, 16, 0, 0, 1}), on_disc(16, 1));
}

TEST_F(AtapiCdromTest, ADiscTakenOutInTheMiddleIsAReadError) {
  send_packet({0x28, 0, 0, 0, 0, 16, 0, 0, 2}, 2048, 0);
  drive->insert(nullptr);
  Bytes block(2048);
  EXPECT_EQ(channel.read_port_block(0x170, 2, block), 2048u);
  wait();
  EXPECT_EQ(in(kStatus), 0x51);
  EXPECT_EQ(in(0x171), 0x30);
}

TEST_F(AtapiCdromTest, StateSurvivesInTheMiddleOfATransfer) {
  send_packet({0x28, 0, 0, 0, 0, 16, 0, 0, 3}, 3000, 0);
  Bytes data(1000);
  (void)channel.read_port_block(0x170, 2, data);
  StateArchive saved;
  channel.serialize(saved);
  IdeChannel copy(IdeChannel::kSecondary, IrqLine(line, 15));
  auto made = std::make_unique<AtapiCdrom>(clock, AtaIdentity{});
  made->insert(&disc);
  copy.attach(0, std::move(made));
  StateArchive loading(saved.data());
  copy.serialize(loading);
  ASSERT_TRUE(loading.status().has_value()) << loading.status().error().message();
  while (data.size() < 3 * 2048) {
    Bytes more(4000);
    const size_t got = copy.read_port_block(0x170, 2, more);
    ASSERT_GT(got, 0u);
    data.insert(data.end(), more.begin(), more.begin() + static_cast<long>(got));
    wait();
  }
  EXPECT_EQ(data, on_disc(16, 3));
  EXPECT_EQ(copy.read_port(kStatus, 1), 0x58u & ~0x08u);
}

}  // namespace
}  // namespace vitrine::devices
