#include "devices/io_apic.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine::devices {
namespace {

// Takes every message, or none.
struct Listener : ApicAgent {
  [[nodiscard]] bool addressed_by(uint8_t /*destination*/, ApicDestinationMode /*mode*/) const override {
    return there;
  }
  [[nodiscard]] bool takes_interrupts() const override { return true; }
  [[nodiscard]] uint8_t processor_priority() const override { return 0; }
  void accept(const ApicMessage& message) override { messages.push_back(message); }
  bool there = true;
  std::vector<ApicMessage> messages;
};

class IoApicTest : public testing::Test {
 protected:
  IoApicTest() { bus.attach(cpu); }

  uint32_t get(uint8_t index) {
    io_apic.write_memory(0x00, 4, index);
    return static_cast<uint32_t>(io_apic.read_memory(0x10, 4));
  }
  void set(uint8_t index, uint32_t value) {
    io_apic.write_memory(0x00, 4, index);
    io_apic.write_memory(0x10, 4, value);
  }
  void route(unsigned pin, uint32_t low, uint8_t destination = 0) {
    set(static_cast<uint8_t>(0x11 + 2 * pin), uint32_t{destination} << 24);
    set(static_cast<uint8_t>(0x10 + 2 * pin), low);
  }
  uint32_t low(unsigned pin) { return get(static_cast<uint8_t>(0x10 + 2 * pin)); }

  ApicBus bus;
  Listener cpu;
  IoApic io_apic{bus};
};

TEST_F(IoApicTest, StateAfterReset) {
  EXPECT_EQ(get(0), 0u);
  EXPECT_EQ(get(1), 0x00170011u);
  for (unsigned pin = 0; pin < 24; ++pin) EXPECT_EQ(low(pin), 0x10000u);
  set(0, 0xff000000);
  EXPECT_EQ(get(0), 0x0f000000u);
  EXPECT_EQ(get(2), 0x0f000000u);
  set(1, 0);
  EXPECT_EQ(get(1), 0x00170011u);
}

TEST_F(IoApicTest, EdgesSendOneMessage) {
  route(4, 0x0934, 0x0c);  // logical, lowest priority
  io_apic.set_irq_line(4, true);
  io_apic.set_irq_line(4, true);
  ASSERT_EQ(cpu.messages.size(), 1u);
  EXPECT_EQ(cpu.messages[0].vector, 0x34);
  EXPECT_EQ(cpu.messages[0].destination, 0x0c);
  EXPECT_EQ(cpu.messages[0].destination_mode, ApicDestinationMode::Logical);
  EXPECT_EQ(cpu.messages[0].delivery, ApicDelivery::LowestPriority);
  EXPECT_EQ(cpu.messages[0].trigger, ApicTrigger::Edge);
  io_apic.set_irq_line(4, false);
  io_apic.set_irq_line(4, true);
  EXPECT_EQ(cpu.messages.size(), 2u);
  EXPECT_EQ(io_apic.delivered()[4], 2u);
}

TEST_F(IoApicTest, AnEdgeOnAMaskedPinIsLost) {
  route(4, 0x10034);
  io_apic.set_irq_line(4, true);
  route(4, 0x34);
  EXPECT_TRUE(cpu.messages.empty());
}

TEST_F(IoApicTest, LevelsAskUntilTheyFall) {
  route(11, 0x8051);
  io_apic.set_irq_line(11, true);
  ASSERT_EQ(cpu.messages.size(), 1u);
  EXPECT_EQ(cpu.messages[0].trigger, ApicTrigger::Level);
  EXPECT_EQ(low(11), 0xc051u);
  io_apic.set_irq_line(11, true);
  EXPECT_EQ(cpu.messages.size(), 1u);
  bus.broadcast_eoi(0x52);
  EXPECT_EQ(cpu.messages.size(), 1u);
  bus.broadcast_eoi(0x51);
  EXPECT_EQ(cpu.messages.size(), 2u);
  io_apic.set_irq_line(11, false);
  bus.broadcast_eoi(0x51);
  EXPECT_EQ(cpu.messages.size(), 2u);
  EXPECT_EQ(low(11), 0x8051u);
}

TEST_F(IoApicTest, AMaskedLevelAsksWhenOpened) {
  route(11, 0x18051);
  io_apic.set_irq_line(11, true);
  EXPECT_TRUE(cpu.messages.empty());
  route(11, 0x8051);
  EXPECT_EQ(cpu.messages.size(), 1u);
}

TEST_F(IoApicTest, ALevelThatNobodyTookIsNotInService) {
  cpu.there = false;
  route(11, 0x8051);
  io_apic.set_irq_line(11, true);
  EXPECT_EQ(low(11), 0x8051u);
  cpu.there = true;
  route(11, 0x8051);
  EXPECT_EQ(cpu.messages.size(), 1u);
}

TEST_F(IoApicTest, MakingAnEntryEdgeClearsRemoteIrr) {
  route(11, 0x8051);
  io_apic.set_irq_line(11, true);
  EXPECT_EQ(low(11), 0xc051u);
  route(11, 0x18051);
  EXPECT_EQ(low(11), 0x1c051u);  // masking keeps it
  route(11, 0x10051);
  EXPECT_EQ(low(11), 0x10051u);
  route(11, 0x8051);
  EXPECT_EQ(cpu.messages.size(), 2u);
}

TEST_F(IoApicTest, ExtIntAndNmiAreEdges) {
  route(0, 0x8700);
  io_apic.set_irq_line(0, true);
  ASSERT_EQ(cpu.messages.size(), 1u);
  EXPECT_EQ(cpu.messages[0].delivery, ApicDelivery::ExtInt);
  EXPECT_EQ(low(0), 0x8700u);
  route(1, 0x0400);
  io_apic.set_irq_line(1, true);
  EXPECT_EQ(cpu.messages[1].delivery, ApicDelivery::Nmi);
}

TEST_F(IoApicTest, ReadOnlyAndMissingParts) {
  set(0x10, 0xffffffff);
  EXPECT_EQ(get(0x10), 0x1afffu);
  set(0x11, 0xffffffff);
  EXPECT_EQ(get(0x11), 0xff000000u);
  for (unsigned index = 0; index < 256; ++index) {
    set(static_cast<uint8_t>(index), 0xffffffff);
    (void)get(static_cast<uint8_t>(index));
  }
  EXPECT_EQ(get(0x40), 0u);
  for (uint64_t offset = 0; offset < 0x1000; ++offset) {
    for (unsigned size : {1u, 2u, 4u, 8u}) {
      io_apic.write_memory(offset, size, ~uint64_t{0});
      (void)io_apic.read_memory(offset, size);
    }
  }
  io_apic.set_irq_line(24, true);
  io_apic.set_irq_line(4000, true);
}

TEST_F(IoApicTest, SavesAndRestores) {
  route(11, 0x8051, 3);
  io_apic.set_irq_line(11, true);
  StateArchive saved;
  io_apic.serialize(saved);
  io_apic.reset();
  StateArchive loaded(saved.data());
  io_apic.serialize(loaded);
  ASSERT_TRUE(loaded.status().has_value());
  EXPECT_EQ(low(11), 0xc051u);
  EXPECT_TRUE(io_apic.level(11));
  bus.broadcast_eoi(0x51);
  EXPECT_EQ(cpu.messages.size(), 2u);
}

}  // namespace
}  // namespace vitrine::devices
