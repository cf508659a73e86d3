#include "devices/virtio_balloon.h"

#include <gtest/gtest.h>

#include <vector>

#include "devices/virtio_driver_for_test.h"
#include "memory/host_pages.h"

namespace vitrine::devices {
namespace {

constexpr uint64_t kList = 0x3000;
constexpr unsigned kFirst = 0x80;  // pages from here on are the tests'
constexpr unsigned kPages = 0x40;

class VirtioBalloonTest : public testing::TestWithParam<VirtioDialect> {
 protected:
  VirtioBalloonTest() {
    machine.attach(function);
    machine.memory.add_write_listener(watcher);
    driver.start();
    *page(kList / kPageSize) = 0;  // its memory is there before anybody counts
    std::memset(page(kFirst), 0x77, kPages * kPageSize);
  }
  uint8_t* page(uint64_t number) { return machine.ram->data() + number * kPageSize; }
  void send(uint16_t queue, const std::vector<uint32_t>& pages) {
    std::memcpy(machine.ram->data() + kList, pages.data(), pages.size() * 4);
    driver.send(queue, {{kList, static_cast<uint32_t>(pages.size() * 4)}});
  }

  VirtioMachineForTest machine;
  PageWatcherForTest watcher;
  VirtioBalloon* balloon = new VirtioBalloon(machine.clock, *machine.ram, {.reporting = true});
  VirtioPci function{std::unique_ptr<VirtioDevice>(balloon), VirtioInterfaces::Both, nullptr};
  VirtioDriverForTest driver{machine, GetParam()};
};

TEST_P(VirtioBalloonTest, AsksThroughTheConfiguration) {
  EXPECT_EQ(driver.config(0, 4), 0u);
  balloon->ask_for(1000);
  EXPECT_TRUE(machine.line.level);
  EXPECT_EQ(driver.isr(), 2);
  EXPECT_EQ(driver.config(0, 4), 1000u);
  driver.config(4, 4, 0x12345678);
  EXPECT_EQ(balloon->held(), 0x12345678u);
  balloon->ask_for(1000);
  EXPECT_FALSE(machine.line.level) << "nothing new";
}

TEST_P(VirtioBalloonTest, GivesPagesBack) {
  const uint64_t before = memory::resident_bytes(*machine.ram);
  for (unsigned i = 0; i < 8; ++i) machine.memory.watch(*machine.ram, kFirst + i, memory::Watch::Code);
  // In any order, twice, and one by itself.
  send(0, {kFirst + 3, kFirst + 1, kFirst + 2, kFirst + 2, kFirst + 20});
  EXPECT_TRUE(driver.used(0));
  EXPECT_EQ(before - memory::resident_bytes(*machine.ram), 4 * kPageSize);
  EXPECT_EQ(watcher.pages, (std::vector<std::pair<uint64_t, unsigned>>{
                               {kFirst + 1, kPageSize}, {kFirst + 2, kPageSize}, {kFirst + 3, kPageSize}}));
  EXPECT_EQ(*page(kFirst), 0x77);
  EXPECT_EQ(*page(kFirst + 4), 0x77);
  EXPECT_EQ(*page(kFirst + 2), 0);
  EXPECT_EQ(page(kFirst + 20)[4095], 0);
  // And takes them again by touching them.
  send(1, {kFirst + 2});
  EXPECT_TRUE(driver.used(1));
  *page(kFirst + 2) = 1;
  EXPECT_EQ(*page(kFirst + 2), 1);
}

TEST_P(VirtioBalloonTest, WhatIsNoRamStaysAsItIs) {
  auto other = memory::RamBlock::create("video", 0x10000).value();
  std::memset(other->data(), 1, other->size());
  machine.memory.add(memory::Placement::ram(PhysicalAddress(0x200000), 0x10000, *other, 0));
  auto rom = memory::RamBlock::create("rom", 0x1000).value();
  machine.memory.add(memory::Placement::rom(PhysicalAddress(uint64_t{kFirst} << 12), 0x1000, *rom, 0, 9));
  send(0, {kFirst, 0x200, 0x201, 0x100, 0xff000, 0xfffff, 0x1000000, 0xffffffff, 0xfffffffe,
           VirtioMachineForTest::kModernWindow >> 12});
  EXPECT_TRUE(driver.used(0));
  EXPECT_EQ(*page(kFirst), 0x77);
  EXPECT_EQ(other->data()[0], 1);
}

TEST_P(VirtioBalloonTest, ReportedPages) {
  const uint64_t before = memory::resident_bytes(*machine.ram);
  const uint64_t start = uint64_t{kFirst} << 12;
  for (const uint16_t queue : {2, 4}) {
    driver.send(queue,
                {{start, 0x4000, true}, {start + 0x8001, 0x2fff, true}, {start + 0x20010, 0x20, true}});
    EXPECT_TRUE(driver.used(queue));
  }
  EXPECT_EQ(before - memory::resident_bytes(*machine.ram), 6 * kPageSize);
  EXPECT_EQ(*page(kFirst + 8), 0x77) << "not whole";
  EXPECT_EQ(*page(kFirst + 32), 0x77);
  driver.send(2, {{~uint64_t{0} - 0x3000, 0xffffffff, true}, {0, 0xffffffff, true}});
  EXPECT_EQ(driver.status() & 0x40, 0) << "all of it free? That is the guest's to say";
}

TEST_P(VirtioBalloonTest, ListsThatAreNone) {
  driver.send(0, {{kList, 4 * VirtioBalloon::kMostPages + 4}});
  EXPECT_NE(driver.status() & 0x40, 0);
  driver.start();
  driver.send(0, {{0x80000000, 16}});
  EXPECT_NE(driver.status() & 0x40, 0);
  driver.start(~VirtioBalloon::kReporting);
  driver.send(2, {{0x80000, 0x1000, true}});
  EXPECT_NE(driver.status() & 0x40, 0) << "reporting was not negotiated";
}

TEST_P(VirtioBalloonTest, AResetLeavesTheWish) {
  balloon->ask_for(7);
  driver.config(4, 4, 7);
  driver.status(0);
  EXPECT_EQ(balloon->held(), 0u);
  EXPECT_EQ(balloon->asked_for(), 7u);
}

INSTANTIATE_TEST_SUITE_P(Dialects, VirtioBalloonTest,
                         testing::Values(VirtioDialect::Legacy, VirtioDialect::Modern), virtio_dialect_name);

}  // namespace
}  // namespace vitrine::devices
