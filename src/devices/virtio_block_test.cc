#include "devices/virtio_block.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "devices/block_backend_for_test.h"
#include "devices/virtio_driver_for_test.h"

namespace vitrine::devices {
namespace {

constexpr uint64_t kHeader = 0x1000;
constexpr uint64_t kStatus = 0x1800;
constexpr uint64_t kData = 0x40000;
constexpr uint32_t kIn = 0;
constexpr uint32_t kOut = 1;
constexpr uint32_t kFlush = 4;
constexpr uint32_t kId = 8;

/// A disk and its driver, of either dialect.
class VirtioBlockTest : public testing::TestWithParam<VirtioDialect> {
 protected:
  VirtioBlockTest() {
    disk.fill_sectors(512);
    machine.attach(function);
  }
  ~VirtioBlockTest() override { EXPECT_EQ(reports, expected_reports); }

  using Buffers = std::vector<VirtioDriverForTest::Buffer>;

  void header(uint32_t type, uint64_t sector, uint64_t at = kHeader) {
    driver.put<uint32_t>(at, type);
    driver.put<uint32_t>(at + 4, 0);
    driver.put<uint64_t>(at + 8, sector);
    driver.put<uint8_t>(kStatus, 0xee);
  }
  /// One request, carried out. Gives its status, and what the device says it has written.
  unsigned request(uint32_t type, uint64_t sector, uint32_t bytes, uint64_t data = kData) {
    header(type, sector);
    Buffers chain{{kHeader, 16}};
    if (bytes != 0) chain.push_back({data, bytes, type != kOut});
    chain.push_back({kStatus, 1, true});
    driver.send(0, chain);
    const auto used = driver.used(0);
    if (!used) return 0xdead;
    written = used->written;
    return driver.get<uint8_t>(kStatus);
  }
  bool failed() { return (driver.status() & 0x40) != 0; }
  uint8_t* memory(uint64_t at) { return machine.ram->data() + at; }

  VirtioMachineForTest machine;
  BlockBackendForTest disk{100 * 512};
  VirtioBlock* block = new VirtioBlock(machine.clock, disk, "serial number");
  VirtioPci function{std::unique_ptr<VirtioDevice>(block), VirtioInterfaces::Both, nullptr};
  VirtioDriverForTest driver{machine, GetParam()};
  uint32_t written = 0;
  unsigned reports = 0;
  unsigned expected_reports = 0;
};

TEST_P(VirtioBlockTest, ConfigurationSaysWhatTheDiskIs) {
  driver.start();
  EXPECT_EQ(driver.config(0, 4), 100u);
  EXPECT_EQ(driver.config(4, 4), 0u);
  EXPECT_EQ(driver.config(8, 4), VirtioBlock::kMostSegmentBytes);
  EXPECT_EQ(driver.config(12, 4), VirtioBlock::kMostSegments);
  EXPECT_EQ(driver.config(18, 1), 16u);
  EXPECT_EQ(driver.config(19, 1), 63u);
  EXPECT_EQ(driver.config(20, 4), 512u);
  EXPECT_EQ(driver.config(60, 4), 0u);
}

TEST_P(VirtioBlockTest, ReadsAndWrites) {
  driver.start();
  EXPECT_EQ(request(kIn, 7, 1024), 0u);
  EXPECT_EQ(written, 1025u);
  EXPECT_EQ(std::memcmp(memory(kData), &disk.data[7 * 512], 1024), 0);
  std::memset(memory(kData), 0x5a, 512);
  EXPECT_EQ(request(kOut, 99, 512), 0u);
  EXPECT_EQ(written, 1u);
  EXPECT_EQ(disk.data[99 * 512 + 511], 0x5a);
  EXPECT_EQ(disk.data[99 * 512 - 1], static_cast<uint8_t>(98 * 7 + 511));
}

TEST_P(VirtioBlockTest, BuffersBeginAndEndAnywhere) {
  driver.start();
  header(kIn, 3);
  // The header in two pieces; data and status share one, whose last byte is the status.
  driver.send(0, Buffers{{kHeader, 3}, {kHeader + 3, 13}, {kData, 100, true}, {kData + 0x1000, 413, true}});
  ASSERT_TRUE(driver.used(0));
  EXPECT_EQ(std::memcmp(memory(kData), &disk.data[3 * 512], 100), 0);
  EXPECT_EQ(std::memcmp(memory(kData + 0x1000), &disk.data[3 * 512 + 100], 412), 0);
  EXPECT_EQ(*memory(kData + 0x1000 + 412), 0);
}

TEST_P(VirtioBlockTest, IndirectDescriptors) {
  driver.start();
  header(kIn, 5);
  constexpr uint64_t kTable = 0x3000;
  driver.descriptor(kTable, {kHeader, 16}, 1, 2);
  driver.descriptor(kTable + 32, {kData, 512}, 1 | 2, 1);
  driver.descriptor(kTable + 16, {kStatus, 1}, 2, 0);
  driver.descriptor(driver.descriptors(0), {kTable, 48}, 4, 0);
  driver.make_available(0, 0);
  driver.notify(0);
  ASSERT_TRUE(driver.used(0));
  EXPECT_EQ(std::memcmp(memory(kData), &disk.data[5 * 512], 512), 0);
}

TEST_P(VirtioBlockTest, FlushMakesWritesDurable) {
  driver.start();
  EXPECT_EQ(request(kOut, 0, 512), 0u);
  EXPECT_EQ(disk.unflushed_writes, 1u);
  EXPECT_EQ(request(kFlush, 0, 0), 0u);
  EXPECT_EQ(disk.unflushed_writes, 0u);
  disk.fail_flush = true;
  EXPECT_EQ(request(kFlush, 0, 0), 1u);
}

TEST_P(VirtioBlockTest, WritesThroughForDriversThatDoNotFlush) {
  driver.start(~VirtioBlock::kFlush);
  EXPECT_EQ(request(kOut, 0, 512), 0u);
  EXPECT_EQ(disk.unflushed_writes, 0u);
}

TEST_P(VirtioBlockTest, Identifies) {
  driver.start();
  EXPECT_EQ(request(kId, 0, 20), 0u);
  EXPECT_STREQ(reinterpret_cast<const char*>(memory(kData)), "serial number");
  EXPECT_EQ(written, 21u);
}

TEST_P(VirtioBlockTest, RefusesWhatIsNotOnTheDisk) {
  driver.start();
  EXPECT_EQ(request(kIn, 100, 512), 1u);
  EXPECT_EQ(request(kIn, 99, 1024), 1u);
  EXPECT_EQ(request(kIn, ~uint64_t{0}, 512), 1u);
  EXPECT_EQ(request(kOut, ~uint64_t{0} / 512 + 1, 512), 1u);
  EXPECT_EQ(request(kIn, 0, 511), 1u);
  EXPECT_EQ(request(kIn, 0, 0xfffffe00), 1u);
  EXPECT_EQ(written, 1u);
  EXPECT_EQ(request(99, 0, 512), 2u);
  EXPECT_EQ(request(kIn, 0, 512), 0u) << "goes on";
}

TEST_P(VirtioBlockTest, RefusesWritesToReadOnlyDisks) {
  disk.read_only_image = true;
  EXPECT_NE(driver.offered() & VirtioBlock::kReadOnly, 0u);
  driver.start();
  EXPECT_EQ(request(kOut, 0, 512), 1u);
}

TEST_P(VirtioBlockTest, HostFailuresAreErrorsOfTheDisk) {
  block->set_error_callback([this](const Error&) { ++reports; });
  expected_reports = 2;
  disk.fail_reads_at = 512;
  disk.fail_writes_at = 512;
  driver.start();
  EXPECT_EQ(request(kIn, 1, 512), 1u);
  EXPECT_EQ(request(kIn, 1, 512), 1u) << "said once";
  EXPECT_EQ(request(kOut, 1, 512), 1u);
}

// Data that lead to registers, to nothing, or beyond all addresses: the request fails, nothing else happens.
TEST_P(VirtioBlockTest, OnlyMemoryIsMemory) {
  driver.start();
  for (const uint64_t address :
       {uint64_t{VirtioMachineForTest::kModernWindow}, uint64_t{0x80000000}, uint64_t{1} << 36,
        ~uint64_t{0} - 100, VirtioMachineForTest::kRamSize - 256}) {
    EXPECT_EQ(request(kIn, 0, 512, address), 1u) << address;
    EXPECT_EQ(request(kOut, 0, 512, address), 1u) << address;
  }
  EXPECT_FALSE(failed());
}

TEST_P(VirtioBlockTest, AnnouncesWhatItWrites) {
  driver.start();
  PageWatcherForTest watcher;
  machine.memory.add_write_listener(watcher);
  for (const uint64_t page : {kData >> 12, (kData >> 12) + 1, kStatus >> 12, driver.used_ring(0) >> 12})
    machine.memory.watch(*machine.ram, page, memory::Watch::Code);
  EXPECT_EQ(request(kIn, 0, 1024, kData + 0xe00), 0u);
  const auto heard = [&](uint64_t page, unsigned size) {
    return std::ranges::find(watcher.pages, std::pair(page, size)) != watcher.pages.end();
  };
  EXPECT_TRUE(heard(kData >> 12, 512));
  EXPECT_TRUE(heard((kData >> 12) + 1, 512));
  EXPECT_TRUE(heard(kStatus >> 12, 1));
  EXPECT_EQ(watcher.pages.size(), 4u) << "the used ring as well";
  machine.memory.remove_write_listener(watcher);
}

TEST_P(VirtioBlockTest, ChainsThatAreNoRequests) {
  const std::vector<Buffers> wrong = {
      {{kHeader, 16}},                                    // no status
      {{kHeader, 15}, {kStatus, 1, true}},                // half a header
      {{kStatus, 1, true}},                               // none
      {{kHeader, 16}, {0x80000000, 1, true}},             // a status nowhere
      {{0x80000000, 16}, {kStatus, 1, true}},             // a header nowhere
      {{kHeader, 16}, {kStatus, 1, true}, {kHeader, 8}},  // to be read behind to be written
      {{kHeader, 0}, {kStatus, 0, true}},                 // nothing at all
  };
  for (const Buffers& chain : wrong) {
    driver.start();
    header(kIn, 0);
    driver.send(0, chain);
    EXPECT_TRUE(failed());
    EXPECT_FALSE(driver.used(0));
    driver.start();
    EXPECT_EQ(request(kIn, 0, 512), 0u) << "a reset helps";
  }
}

TEST_P(VirtioBlockTest, TablesThatMakeNoSense) {
  const auto table = [this](uint64_t address, uint32_t size, uint16_t flags) {
    driver.descriptor(driver.descriptors(0), {address, size}, flags, 0);
  };
  const std::vector<std::function<void()>> wrong = {
      [&] { table(kHeader, 16, 1); },         // a loop of one
      [&] { table(0x3000, 17, 4); },          // no whole table
      [&] { table(0x3000, 0, 4); },           // an empty one
      [&] { table(0x3000, 0xfffffff0, 4); },  // a huge one
      [&] { table(0x3000, 16, 4 | 1); },      // a table with a successor
      [&] { table(0x80000000, 16, 4); },      // a table nowhere
      [&] {                                   // a table in a table
        table(0x3000, 16, 4);
        driver.descriptor(0x3000, {0x4000, 16}, 4, 0);
      },
      [&] {  // a loop in a table
        table(0x3000, 32, 4);
        driver.descriptor(0x3000, {kHeader, 16}, 1, 1);
        driver.descriptor(0x3010, {kHeader, 16}, 1, 0);
      },
      [&] {  // out of a table
        table(0x3000, 16, 4);
        driver.descriptor(0x3000, {kHeader, 16}, 1, 1);
      },
  };
  for (size_t i = 0; i < wrong.size(); ++i) {
    driver.start();
    wrong[i]();
    driver.make_available(0, 0);
    driver.notify(0);
    EXPECT_TRUE(failed()) << i;
    EXPECT_FALSE(driver.used(0));
  }
}

TEST_P(VirtioBlockTest, IndicesThatMakeNoSense) {
  driver.start();
  driver.make_available(0, driver.size(0));  // a head beyond the table
  driver.notify(0);
  EXPECT_TRUE(failed());
  driver.start();
  driver.put<uint16_t>(driver.available(0) + 2, driver.size(0) + 1u);  // more than there can be
  driver.notify(0);
  EXPECT_TRUE(failed());
  EXPECT_NE(driver.isr() & 2, 0) << "said by an interrupt";
  driver.notify(0);
  driver.notify(17);
  driver.notify(0xffff);
}

TEST_P(VirtioBlockTest, InterruptsTillItIsAcknowledged) {
  driver.start(~virtio_feature::kEventIndex);
  EXPECT_EQ(request(kIn, 0, 512), 0u);
  EXPECT_TRUE(machine.line.level);
  EXPECT_EQ(driver.isr(), 1);
  EXPECT_FALSE(machine.line.level);
  EXPECT_EQ(driver.isr(), 0);
  driver.put<uint16_t>(driver.available(0), 1);  // no interrupts, please
  EXPECT_EQ(request(kIn, 0, 512), 0u);
  EXPECT_FALSE(machine.line.level);
}

TEST_P(VirtioBlockTest, ManyRequestsOneInterrupt) {
  driver.start();
  header(kIn, 1);
  const Buffers chain{{kHeader, 16}, {kData, 512, true}, {kStatus, 1, true}};
  for (unsigned i = 0; i < 20; ++i) driver.offer(0, chain);
  driver.notify(0);
  for (unsigned i = 0; i < 20; ++i) EXPECT_TRUE(driver.used(0));
  EXPECT_EQ(machine.line.rises, 1u);
  EXPECT_EQ(driver.available_event(0), 20) << "a notification is wanted for the next";
  (void)driver.isr();
  driver.used_event(0, 21);  // not for the next, but for the one after
  EXPECT_EQ(request(kIn, 0, 512), 0u);
  EXPECT_FALSE(machine.line.level);
  EXPECT_EQ(request(kIn, 0, 512), 0u);
  EXPECT_TRUE(machine.line.level);
}

// What a driver queues without end is cut into portions; a reset in the middle drops what is left.
TEST_P(VirtioBlockTest, PortionsOfWork) {
  BlockBackendForTest large(8 << 20);
  VirtioMachineForTest other;
  VirtioPci big(std::make_unique<VirtioBlock>(other.clock, large, ""), VirtioInterfaces::Both, nullptr);
  other.attach(big);
  VirtioDriverForTest user(other, GetParam());
  const auto queue = [&] {
    user.start();
    user.put<uint32_t>(kHeader, kIn);
    user.put<uint64_t>(kHeader + 8, 0);
    // Sixteen times the same 256 KiB: 4 MiB.
    Buffers chain{{kHeader, 16}};
    for (unsigned i = 0; i < 16; ++i) chain.push_back({kData, 0x40000, true});
    chain.push_back({kStatus, 1, true});
    for (unsigned i = 0; i < 10; ++i) user.offer(0, chain);
    user.notify(0);
  };
  const auto used = [&] {
    unsigned count = 0;
    while (user.used(0)) ++count;
    return count;
  };
  queue();
  EXPECT_EQ(used(), 4u);
  user.notify(0);
  EXPECT_EQ(used(), 0u) << "not out of turn";
  StateArchive saved;
  big.serialize(saved);
  other.clock.advance(1'000'000);
  EXPECT_EQ(used(), 6u);
  queue();
  EXPECT_EQ(used(), 4u);
  user.status(0);
  other.clock.advance(1'000'000);
  EXPECT_EQ(user.get<uint16_t>(user.used_ring(0) + 2), 4);
}

TEST_P(VirtioBlockTest, NothingWithoutBusMastering) {
  driver.start();
  machine.config(0x04, 2, 3);
  EXPECT_EQ(request(kIn, 0, 512), 0xdeadu);
  machine.config(0x04, 2, 7);
  driver.notify(0);
  EXPECT_TRUE(driver.used(0));
}

TEST_P(VirtioBlockTest, SavedAndRestored) {
  driver.start();
  EXPECT_EQ(request(kIn, 0, 512), 0u);
  StateArchive saved;
  function.serialize(saved);
  driver.status(0);
  StateArchive loading(saved.data());
  function.serialize(loading);
  ASSERT_TRUE(loading.status().has_value());
  EXPECT_TRUE(machine.line.level);
  EXPECT_EQ(request(kIn, 9, 512), 0u);
  EXPECT_EQ(std::memcmp(memory(kData), &disk.data[9 * 512], 512), 0);
}

INSTANTIATE_TEST_SUITE_P(Dialects, VirtioBlockTest,
                         testing::Values(VirtioDialect::Legacy, VirtioDialect::Modern), virtio_dialect_name);

}  // namespace
}  // namespace vitrine::devices
