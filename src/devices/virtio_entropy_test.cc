#include "devices/virtio_entropy.h"

#include <gtest/gtest.h>

#include "devices/virtio_driver_for_test.h"

namespace vitrine::devices {
namespace {

constexpr uint64_t kData = 0x40000;

class VirtioEntropyTest : public testing::TestWithParam<VirtioDialect> {
 protected:
  VirtioEntropyTest() {
    machine.attach(function);
    driver.start();
  }
  VirtioMachineForTest machine;
  bool exhausted = false;
  uint8_t next = 0;
  VirtioPci function{std::make_unique<VirtioEntropy>(machine.clock,
                                                     [this](std::span<uint8_t> data) {
                                                       for (uint8_t& byte : data) byte = ++next;
                                                       return !exhausted;
                                                     }),
                     VirtioInterfaces::Both, nullptr};
  VirtioDriverForTest driver{machine, GetParam()};
};

TEST_P(VirtioEntropyTest, FillsBuffers) {
  driver.send(0, {{kData, 3, true}, {kData + 0x100, 2, true}});
  const auto used = driver.used(0);
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, 5u);
  EXPECT_EQ(driver.get<uint32_t>(kData), 0x00030201u);
  EXPECT_EQ(driver.get<uint32_t>(kData + 0x100), 0x00000504u);
}

TEST_P(VirtioEntropyTest, AHugeBufferGetsABeginning) {
  driver.send(0, {{kData, 0xffffffff, true}});
  EXPECT_EQ(driver.used(0)->written, VirtioEntropy::kMostBytes);
}

TEST_P(VirtioEntropyTest, WhatMakesNoSense) {
  for (const VirtioDriverForTest::Buffer& buffer :
       {VirtioDriverForTest::Buffer{kData, 8}, {kData, 0, true}, {0x80000000, 8, true}}) {
    driver.start();
    driver.send(0, {buffer});
    EXPECT_NE(driver.status() & 0x40, 0);
  }
  exhausted = true;
  driver.start();
  driver.send(0, {{kData, 8, true}});
  EXPECT_FALSE(driver.used(0)) << "no numbers are better than bad ones";
}

INSTANTIATE_TEST_SUITE_P(Dialects, VirtioEntropyTest,
                         testing::Values(VirtioDialect::Legacy, VirtioDialect::Modern), virtio_dialect_name);

}  // namespace
}  // namespace vitrine::devices
