#include "devices/virtio_console.h"

#include <gtest/gtest.h>

#include <string>

#include "devices/virtio_driver_for_test.h"

namespace vitrine::devices {
namespace {

constexpr uint64_t kData = 0x40000;

struct Outside : CharacterBackend {
  void send(std::span<const uint8_t> data) override { sent.append(data.begin(), data.end()); }
  void set_receiver(CharacterReceiver* to) override { receiver = to; }
  void receiver_ready() override { deliver(); }
  void type(const std::string& text) {
    waiting += text;
    deliver();
  }
  void deliver() {
    while (!waiting.empty()) {
      const size_t count = std::min(receiver->receive_capacity(), waiting.size());
      if (count == 0) return;
      const std::string part = waiting.substr(0, count);
      waiting.erase(0, count);
      receiver->receive(
          {reinterpret_cast<const uint8_t*>(part.data()), part.size()});  // SAFETY: a string's bytes
    }
  }
  std::string sent;
  std::string waiting;
  CharacterReceiver* receiver = nullptr;
};

class VirtioConsoleTest : public testing::TestWithParam<VirtioDialect> {
 protected:
  VirtioConsoleTest() { machine.attach(function); }
  void put(const std::string& text, uint64_t at = kData) {
    std::memcpy(machine.ram->data() + at, text.data(), text.size());
  }
  std::string text(uint64_t at, size_t size) {
    return {reinterpret_cast<const char*>(machine.ram->data() + at), size};
  }
  bool failed() { return (driver.status() & 0x40) != 0; }

  VirtioMachineForTest machine;
  Outside outside;
  VirtioPci function{std::make_unique<VirtioConsole>(machine.clock, outside), VirtioInterfaces::Both,
                     nullptr};
  VirtioDriverForTest driver{machine, GetParam()};
};

TEST_P(VirtioConsoleTest, SendsWhatTheGuestWrites) {
  driver.start();
  put("hello, world");
  driver.send(1, {{kData, 7}, {kData + 7, 5}});
  EXPECT_EQ(outside.sent, "hello, world");
  EXPECT_EQ(driver.used(1)->written, 0u);
}

TEST_P(VirtioConsoleTest, KeepsWhatComesUntilThereIsRoom) {
  outside.type("before there is a driver");
  driver.start();
  EXPECT_EQ(outside.waiting.size(), 24u);
  driver.send(0, {{kData, 10, true}});
  auto used = driver.used(0);
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, 10u);
  EXPECT_EQ(text(kData, 10), "before the");
  EXPECT_FALSE(driver.used(0));
  driver.send(0, {{kData, 8, true}, {kData + 0x100, 100, true}});
  used = driver.used(0);
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, 14u);
  EXPECT_EQ(text(kData, 8) + text(kData + 0x100, 6), "re is a driver");
  // Room first, then something comes: with an interrupt.
  (void)driver.isr();
  driver.used_event(0, 2);
  driver.send(0, {{kData, 10, true}});
  EXPECT_FALSE(machine.line.level);
  outside.type("x");
  EXPECT_EQ(driver.used(0)->written, 1u);
  EXPECT_TRUE(machine.line.level);
}

TEST_P(VirtioConsoleTest, AResetForgetsTheRoom) {
  driver.start();
  driver.send(0, {{kData, 10, true}});
  driver.status(0);
  outside.type("kept");
  EXPECT_EQ(outside.waiting, "kept");
}

TEST_P(VirtioConsoleTest, EmergencyWrite) {
  driver.config(8, 4, '!');
  EXPECT_EQ(outside.sent.substr(0, 1), "!");
  EXPECT_EQ(driver.config(4, 4), 1u) << "ports";
}

TEST_P(VirtioConsoleTest, HostileBuffers) {
  for (const VirtioDriverForTest::Buffer& buffer :
       {VirtioDriverForTest::Buffer{0x80000000, 5}, {kData, VirtioConsole::kMostSent + 1}}) {
    driver.start();
    driver.send(1, {buffer});
    EXPECT_TRUE(failed());
  }
  driver.start();
  driver.send(0, {{0x80000000, 5, true}});
  outside.type("lost");
  EXPECT_TRUE(failed());
  driver.start();
  driver.send(0, {{kData, 5}});  // nothing to write to
  EXPECT_TRUE(failed());
  // The chain changes its mind between the look and the use.
  driver.start();
  driver.send(0, {{kData, 100, true}});
  driver.descriptor(driver.descriptors(0), {kData, 2}, 2, 0);
  outside.waiting.clear();
  outside.type("shortened");
  EXPECT_EQ(driver.used(0)->written, 2u);
  EXPECT_EQ(outside.sent, "");
}

INSTANTIATE_TEST_SUITE_P(Dialects, VirtioConsoleTest,
                         testing::Values(VirtioDialect::Legacy, VirtioDialect::Modern), virtio_dialect_name);

}  // namespace
}  // namespace vitrine::devices
