// The registers of the transport; what queues and devices do with them is in virtio_block_test.cc.
#include "devices/virtio_pci.h"

#include <gtest/gtest.h>

#include "devices/block_backend_for_test.h"
#include "devices/virtio_block.h"
#include "devices/virtio_driver_for_test.h"

namespace vitrine::devices {
namespace {

struct Messages : MessageSink {
  void send_message(uint64_t address, uint32_t data) override { all.emplace_back(address, data); }
  std::vector<std::pair<uint64_t, uint32_t>> all;
};

class VirtioPciTest : public testing::Test {
 protected:
  std::unique_ptr<VirtioPci> make(VirtioInterfaces interfaces, MessageSink* sink = nullptr) {
    auto made =
        std::make_unique<VirtioPci>(std::make_unique<VirtioBlock>(machine.clock, disk, ""), interfaces, sink);
    machine.attach(*made);
    return made;
  }
  /// A request that ends at once.
  void flush(VirtioDriverForTest& driver) {
    driver.put<uint64_t>(0x1000, 4);
    driver.send(0, {{0x1000, 16}, {0x1800, 1, true}});
  }
  void message(unsigned vector, uint64_t address, uint32_t data, uint32_t masked = 0) {
    const uint64_t at = VirtioMachineForTest::kMsixWindow + 16 * vector;
    machine.memory.write(PhysicalAddress(at), 8, address);
    machine.memory.write(PhysicalAddress(at + 8), 4, data);
    machine.memory.write(PhysicalAddress(at + 12), 4, masked);
  }

  VirtioMachineForTest machine;
  BlockBackendForTest disk{64 * 512};
  Messages messages;
};

TEST_F(VirtioPciTest, IdentifiesItself) {
  {
    const auto both = make(VirtioInterfaces::Both);
    EXPECT_EQ(machine.config(0, 4), 0x10011af4u);
    EXPECT_EQ(machine.config(8, 4), 0x01000000u);
    EXPECT_EQ(machine.config(0x2e, 2), 2u);
    EXPECT_NE(machine.capability(9, 1), 0u);
    EXPECT_EQ(machine.capability(0x11), 0u);
  }
  {
    const auto legacy = make(VirtioInterfaces::Legacy);
    EXPECT_EQ(machine.config(0, 4), 0x10011af4u);
    EXPECT_EQ(machine.config(0x34, 1), 0u);
  }
  const auto modern = make(VirtioInterfaces::Modern);
  EXPECT_EQ(machine.config(0, 4), 0x10421af4u);
  EXPECT_EQ(machine.config(8, 1), 1u);
  EXPECT_EQ(machine.config(0x10, 4), 0u);
  for (uint8_t type = 1; type <= 5; ++type) EXPECT_NE(machine.capability(9, type), 0u) << type;
}

TEST_F(VirtioPciTest, FeaturesMustHaveBeenOffered) {
  const auto function = make(VirtioInterfaces::Both);
  const auto negotiate = [this](uint64_t features) {
    machine.modern(20, 1, 0);
    machine.modern(20, 1, 3);
    for (uint32_t half = 0; half < 3; ++half) {
      machine.modern(8, 4, half);
      machine.modern(12, 4, half < 2 ? features >> 32 * half & 0xffffffff : 0xffffffff);
    }
    machine.modern(20, 1, 11);
    return (machine.modern(20, 1) & 8) != 0;
  };
  const uint64_t offered = function->device().offered_features();
  EXPECT_TRUE(negotiate(offered));
  EXPECT_TRUE(negotiate(virtio_feature::kVersion1));
  EXPECT_FALSE(negotiate(offered | uint64_t{1} << 60));
  EXPECT_FALSE(negotiate(offered & ~virtio_feature::kVersion1)) << "through the modern registers";
  // Settled is settled.
  EXPECT_TRUE(negotiate(virtio_feature::kVersion1));
  machine.modern(8, 4, 0);
  machine.modern(12, 4, 0xffffffff);
  EXPECT_EQ(function->device().accepted_features(), virtio_feature::kVersion1);
  // A legacy driver gets what there is.
  machine.ports.write(VirtioMachineForTest::kLegacyPort + 18, 1, 0);
  machine.ports.write(VirtioMachineForTest::kLegacyPort + 4, 4, 0xffffffff);
  EXPECT_EQ(function->device().accepted_features(), offered & 0xffffffff);
}

TEST_F(VirtioPciTest, QueueRegisters) {
  const auto function = make(VirtioInterfaces::Both);
  machine.modern(22, 2, 0);
  EXPECT_EQ(machine.modern(24, 2), VirtioBlock::kQueueSize);
  for (const uint16_t wrong : {0, 3, 512, 0xffff}) {
    machine.modern(24, 2, wrong);
    EXPECT_EQ(machine.modern(24, 2), VirtioBlock::kQueueSize);
  }
  machine.modern(24, 2, 8);
  machine.modern(32, 8, 0x123456789abcdef0);
  machine.modern(40, 4, 0x1000);
  machine.modern(48, 4, 0x2000);
  EXPECT_EQ(machine.modern(32, 8), 0x123456789abcdef0u);
  EXPECT_EQ(machine.modern(36, 2), 0x5678u);
  machine.modern(28, 2, 1);
  // Alive, it does not change.
  machine.modern(24, 2, 16);
  machine.modern(32, 4, 0);
  machine.modern(28, 2, 0);
  EXPECT_EQ(machine.modern(24, 2), 8u);
  EXPECT_EQ(machine.modern(32, 4), 0x9abcdef0u);
  EXPECT_EQ(machine.modern(28, 2), 1u);
  // Queues that are not there.
  machine.modern(22, 2, 1);
  machine.modern(24, 2, 8);
  machine.modern(28, 2, 1);
  EXPECT_EQ(machine.modern(24, 4), 0xffff0000u);
  EXPECT_EQ(machine.modern(28, 2), 0u);
  EXPECT_EQ(machine.modern(18, 2), 1u);
}

TEST_F(VirtioPciTest, RingsThatAreNotAligned) {
  const auto function = make(VirtioInterfaces::Both);
  machine.modern(20, 1, 3);
  machine.modern(8, 4, 1);
  machine.modern(12, 4, 1);
  machine.modern(20, 1, 11);
  machine.modern(40, 4, 0x1001);
  machine.modern(28, 2, 1);
  machine.modern(20, 1, 15);
  EXPECT_EQ(machine.modern(20, 1), 15u | 0x40);
}

TEST_F(VirtioPciTest, ConfigurationAccessCapability) {
  const auto function = make(VirtioInterfaces::Both);
  const unsigned at = machine.capability(9, 5);
  const auto select = [&](uint8_t bar, uint32_t offset, uint32_t length) {
    machine.config(at + 4, 1, bar);
    machine.config(at + 8, 4, offset);
    machine.config(at + 12, 4, length);
  };
  select(4, 0x2000, 4);  // the capacity
  EXPECT_EQ(machine.config(at + 16, 4), 64u);
  select(4, 20, 1);  // the status
  machine.config(at + 16, 1, 3);
  EXPECT_EQ(machine.modern(20, 1), 3u);
  EXPECT_EQ(machine.config(at + 16, 1), 3u);
  // Nothing comes of places and lengths that are not there.
  for (const auto& [bar, offset, length] : {std::tuple{0u, 0u, 4u},
                                            {4u, 0x4000u, 4u},
                                            {4u, 0xffffffffu, 1u},
                                            {4u, 1u, 4u},
                                            {4u, 0u, 3u},
                                            {4u, 0u, 0u}}) {
    select(static_cast<uint8_t>(bar), offset, length);
    machine.config(at + 16, 4, 0xffffffff);
    (void)machine.config(at + 16, 4);
  }
  EXPECT_EQ(machine.modern(20, 1), 3u);
}

TEST_F(VirtioPciTest, InterruptsAsMessages) {
  const auto function = make(VirtioInterfaces::Both, &messages);
  const unsigned at = machine.capability(0x11);
  ASSERT_NE(at, 0u);
  EXPECT_EQ(machine.config(at + 2, 2), 1u) << "two vectors";
  VirtioDriverForTest driver(machine, VirtioDialect::Modern);
  message(0, 0xfee01000, 0x41);
  message(1, 0xfee02000, 0x42);
  machine.config(at + 2, 2, 0x8000);
  driver.start();
  machine.modern(16, 2, 0);
  machine.modern(22, 2, 0);
  machine.modern(26, 2, 1);
  EXPECT_EQ(machine.modern(26, 2), 1u);
  flush(driver);
  ASSERT_EQ(messages.all.size(), 1u);
  EXPECT_EQ(messages.all[0], std::pair(uint64_t{0xfee02000}, 0x42u));
  EXPECT_FALSE(machine.line.level);
  EXPECT_EQ(driver.isr(), 0);
  // Masked, it waits.
  message(1, 0xfee02000, 0x43, 1);
  driver.used_event(0, 1);
  flush(driver);
  EXPECT_EQ(messages.all.size(), 1u);
  EXPECT_EQ(machine.memory.read(PhysicalAddress(VirtioMachineForTest::kMsixWindow + 0x800), 4), 2u);
  message(1, 0xfee02000, 0x44);
  ASSERT_EQ(messages.all.size(), 2u);
  EXPECT_EQ(messages.all[1].second, 0x44u);
  // So it does while the whole function is masked.
  machine.config(at + 2, 2, 0xc000);
  driver.used_event(0, 2);
  flush(driver);
  EXPECT_EQ(messages.all.size(), 2u);
  machine.config(at + 2, 2, 0x8000);
  EXPECT_EQ(messages.all.size(), 3u);
  // The configuration's.
  driver.make_available(0, 999);
  driver.notify(0);
  ASSERT_EQ(messages.all.size(), 4u);
  EXPECT_EQ(messages.all[3].second, 0x41u);
  // The bus's reset takes all of it back, and legacy registers lie where they were.
  machine.bus.reset();
  EXPECT_EQ(machine.config(at + 2, 2), 1u);
}

TEST_F(VirtioPciTest, VectorsThatAreNotThere) {
  const auto function = make(VirtioInterfaces::Both, &messages);
  machine.modern(16, 2, 2);
  EXPECT_EQ(machine.modern(16, 2), 0xffffu);
  machine.modern(16, 2, 1);
  EXPECT_EQ(machine.modern(16, 2), 1u);
}

TEST_F(VirtioPciTest, LegacyRegistersMoveWithMessages) {
  const auto function = make(VirtioInterfaces::Legacy, &messages);
  const uint16_t port = VirtioMachineForTest::kLegacyPort;
  EXPECT_EQ(machine.ports.read(port + 20, 4), 64u);
  machine.config(machine.capability(0x11) + 2, 2, 0x8000);
  EXPECT_EQ(machine.ports.read(port + 24, 4), 64u);
  machine.ports.write(port + 22, 2, 1);
  EXPECT_EQ(machine.ports.read(port + 22, 2), 1u);
}

TEST(ApicMessages, GoWhereTheAddressSays) {
  struct Agent : ApicAgent {
    bool addressed_by(uint8_t destination, ApicDestinationMode mode) const override {
      return destination == 5 && mode == ApicDestinationMode::Logical;
    }
    bool takes_interrupts() const override { return true; }
    uint8_t processor_priority() const override { return 0; }
    void accept(const ApicMessage& message) override { got.push_back(message); }
    std::vector<ApicMessage> got;
  };
  ApicBus bus;
  Agent agent;
  bus.attach(agent);
  ApicMessageSink sink(bus);
  sink.send_message(0xfee05004, 0x4151);
  ASSERT_EQ(agent.got.size(), 1u);
  EXPECT_EQ(agent.got[0].vector, 0x51);
  EXPECT_EQ(agent.got[0].delivery, ApicDelivery::LowestPriority);
  EXPECT_EQ(agent.got[0].trigger, ApicTrigger::Edge);
  sink.send_message(0xfee05000, 0x51);  // physical: not this one
  sink.send_message(0xfed05004, 0x51);  // no interrupt at all
  sink.send_message(0x1'fee0'5004, 0x51);
  EXPECT_EQ(agent.got.size(), 1u);
}

}  // namespace
}  // namespace vitrine::devices
