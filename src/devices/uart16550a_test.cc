#include "devices/uart16550a.h"

#include <gtest/gtest.h>

#include <string>

#include "devices/irq_sink_for_test.h"

namespace vitrine::devices {
namespace {

struct Outside : CharacterBackend {
  void send(std::span<const uint8_t> data) override { sent.append(data.begin(), data.end()); }
  void set_receiver(CharacterReceiver* new_receiver) override { receiver = new_receiver; }
  void receiver_ready() override { deliver(); }
  [[nodiscard]] bool carrier() const override { return present; }

  void type(std::string_view text) {
    waiting += text;
    deliver();
  }
  void deliver() {
    if (receiver == nullptr) return;
    const size_t count = std::min(waiting.size(), receiver->receive_capacity());
    if (count == 0) return;
    const std::string now = waiting.substr(0, count);
    waiting.erase(0, count);
    receiver->receive({reinterpret_cast<const uint8_t*>(now.data()), now.size()});  // SAFETY: bytes as bytes.
  }

  CharacterReceiver* receiver = nullptr;
  std::string sent, waiting;
  bool present = true;
};

class UartTest : public testing::Test {
 protected:
  uint8_t in(uint16_t index) { return static_cast<uint8_t>(uart.read_port(0x3f8 + index, 1)); }
  void out(uint16_t index, uint8_t value) { uart.write_port(0x3f8 + index, 1, value); }

  ManualClock clock;
  IrqSinkForTest irq;
  Outside outside;
  Uart16550a uart{clock, IrqLine(irq, 4), &outside};
};

TEST_F(UartTest, StateAfterReset) {
  EXPECT_EQ(in(1), 0);
  EXPECT_EQ(in(2), 0x01);
  EXPECT_EQ(in(3), 0);
  EXPECT_EQ(in(4), 0);
  EXPECT_EQ(in(5), 0x60);
  EXPECT_EQ(in(6), 0xb0);
}

TEST_F(UartTest, SendsAtOnce) {
  out(0, 'h');
  out(0, 'i');
  EXPECT_EQ(outside.sent, "hi");
  EXPECT_EQ(in(5), 0x60);
}

TEST_F(UartTest, DivisorLatchAndScratch) {
  out(3, 0x83);
  out(0, 0x34);
  out(1, 0x12);
  EXPECT_EQ(in(0), 0x34);
  EXPECT_EQ(in(1), 0x12);
  out(3, 0x03);
  EXPECT_EQ(in(1), 0);
  EXPECT_TRUE(outside.sent.empty());
  out(7, 0xa5);
  EXPECT_EQ(in(7), 0xa5);
}

TEST_F(UartTest, TransmitterInterrupt) {
  out(1, 0x02);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(2), 0x02);
  EXPECT_FALSE(irq.level);  // reading IIR acknowledged it
  EXPECT_EQ(in(2), 0x01);
  out(0, 'x');
  EXPECT_EQ(irq.rises, 2u);
  out(0, 'y');
  EXPECT_EQ(irq.rises, 3u);  // each byte is a new edge
  out(1, 0x00);
  EXPECT_FALSE(irq.level);
  out(1, 0x02);
  EXPECT_TRUE(irq.level);
}

TEST_F(UartTest, ReceivesOneByteAtATimeWithoutFifo) {
  out(1, 0x01);
  outside.type("ab");
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(2), 0x04);
  EXPECT_EQ(in(5), 0x61);
  EXPECT_EQ(outside.waiting, "b");
  EXPECT_EQ(irq.rises, 1u);
  EXPECT_EQ(in(0), 'a');
  EXPECT_EQ(irq.rises, 2u);
  EXPECT_EQ(in(5), 0x61);
  EXPECT_EQ(in(0), 'b');
  EXPECT_EQ(in(5), 0x60);
  EXPECT_FALSE(irq.level);
}

TEST_F(UartTest, TriggerLevels) {
  for (const auto& [fcr, level] : {std::pair{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}}) {
    out(2, static_cast<uint8_t>(fcr | 0x02));
    out(1, 0x01);
    outside.type(std::string(static_cast<size_t>(level) - 1, 'x'));
    EXPECT_FALSE(irq.level) << level;
    outside.type("y");
    EXPECT_TRUE(irq.level) << level;
    EXPECT_EQ(in(2), 0xc4);
    (void)in(0);
    EXPECT_FALSE(irq.level) << level;
  }
}

TEST_F(UartTest, CharacterTimeout) {
  out(3, 0x83);
  out(0, 1);  // 115200 baud
  out(1, 0);
  out(3, 0x03);
  out(2, 0xc1);
  out(1, 0x01);
  outside.type("ab");
  const Nanoseconds four_characters = 4 * 86'805;
  clock.advance(four_characters - 10);
  EXPECT_FALSE(irq.level);
  clock.advance(20);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(2), 0xcc);
  EXPECT_EQ(in(0), 'a');
  EXPECT_FALSE(irq.level);
  clock.advance(four_characters + 10);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(0), 'b');
  EXPECT_FALSE(irq.level);
  EXPECT_FALSE(clock.next_deadline().has_value());
}

TEST_F(UartTest, FifoTakesSixteenAndAsksForMore) {
  out(2, 0x01);
  outside.type("0123456789abcdefghij");
  EXPECT_EQ(outside.waiting, "ghij");
  std::string got;
  while ((in(5) & 1) != 0) got += static_cast<char>(in(0));
  EXPECT_EQ(got, "0123456789abcdefghij");
  EXPECT_EQ(in(0), 0);
}

TEST_F(UartTest, ClearingAndSwitchingTheFifoEmptiesIt) {
  out(2, 0x01);
  outside.type("abc");
  out(2, 0x03);
  EXPECT_EQ(in(5), 0x60);
  outside.type("abc");
  out(2, 0x00);
  EXPECT_EQ(in(5), 0x60);
  EXPECT_EQ(in(2), 0x01);
  out(2, 0xc0);  // without the enable bit nothing else counts
  EXPECT_EQ(in(2), 0x01);
}

TEST_F(UartTest, InterruptPriorities) {
  out(4, 0x10);  // loopback
  (void)in(6);
  out(1, 0x0f);
  out(4, 0x13);  // modem lines change
  out(0, 'a');
  out(0, 'b');  // overrun
  EXPECT_EQ(in(2), 0x06);
  EXPECT_EQ(in(5), 0x63);
  EXPECT_EQ(in(2), 0x04);
  EXPECT_EQ(in(0), 'b');  // without FIFO the unread byte is lost
  EXPECT_EQ(in(2), 0x02);
  EXPECT_EQ(in(2), 0x00);
  EXPECT_EQ(in(6), 0x33);
  EXPECT_EQ(in(2), 0x01);
}

TEST_F(UartTest, FifoOverrunLosesTheNewest) {
  out(2, 0x01);
  out(4, 0x10);
  for (int i = 0; i < 17; ++i) out(0, static_cast<uint8_t>(i));
  EXPECT_EQ(in(5), 0x63);
  EXPECT_EQ(in(5), 0x61);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(in(0), i);
  EXPECT_EQ(in(5), 0x60);
}

TEST_F(UartTest, LoopbackCutsTheWire) {
  out(4, 0x1a);  // RTS, OUT2
  EXPECT_EQ(in(6) & 0xf0, 0x90);
  out(0, 'x');
  EXPECT_TRUE(outside.sent.empty());
  EXPECT_EQ(in(0), 'x');
  outside.type("y");
  EXPECT_EQ(in(5) & 1, 0);
  out(4, 0x00);
  EXPECT_EQ(in(0), 'y');
}

TEST_F(UartTest, RingCountsOnItsTrailingEdge) {
  out(4, 0x10);
  (void)in(6);
  out(4, 0x14);
  EXPECT_EQ(in(6), 0x40);
  out(4, 0x10);
  EXPECT_EQ(in(6), 0x04);
  EXPECT_EQ(in(6), 0x00);
}

TEST_F(UartTest, BreakInLoopback) {
  out(2, 0x01);
  out(4, 0x10);
  out(0, 'a');
  out(3, 0x43);
  EXPECT_EQ(in(5), 0xe1);  // an error lies in the FIFO, not at its top
  EXPECT_EQ(in(0), 'a');
  EXPECT_EQ(in(5), 0xf9);
  EXPECT_EQ(in(0), 0);
  EXPECT_EQ(in(5), 0x60);
}

TEST_F(UartTest, CarrierDrivesTheModemLines) {
  out(1, 0x08);
  uart.carrier_changed(false);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(6), 0x0b);
  EXPECT_FALSE(irq.level);
  uart.carrier_changed(true);
  EXPECT_EQ(in(6), 0xbb);
}

TEST(UartVariants, Out2CanGateTheInterrupt) {
  ManualClock clock;
  IrqSinkForTest irq;
  Uart16550a uart(clock, IrqLine(irq, 4), nullptr, Uart16550a::Out2::GatesInterrupt);
  uart.write_port(0x3f9, 1, 0x02);
  EXPECT_FALSE(irq.level);
  uart.write_port(0x3fc, 1, 0x08);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(uart.read_port(0x3fe, 1), 0u);  // nobody is there
  uart.write_port(0x3f8, 1, 'x');
}

TEST_F(UartTest, SavesAndRestores) {
  out(2, 0x81);
  out(1, 0x05);
  outside.type("abc");
  StateArchive saved;
  uart.serialize(saved);
  ManualClock other_clock;
  IrqSinkForTest other_irq;
  Outside other_outside;
  Uart16550a other(other_clock, IrqLine(other_irq, 4), &other_outside);
  StateArchive loaded(saved.data());
  other.serialize(loaded);
  ASSERT_TRUE(loaded.status().has_value());
  EXPECT_EQ(other_clock.next_deadline(), clock.next_deadline());
  EXPECT_EQ(other.read_port(0x3f8, 1), 'a');
  EXPECT_EQ(other.read_port(0x3f9, 1), 5u);
}

TEST_F(UartTest, AnyStateCanBeLoadedWithoutHarm) {
  out(2, 0x81);
  outside.type("abc");
  StateArchive saved;
  uart.serialize(saved);
  for (size_t i = 0; i < saved.data().size(); ++i) {
    for (uint8_t value : {0x00, 0x10, 0x7f, 0xff}) {
      std::vector<uint8_t> damaged = saved.data();
      damaged[i] = value;
      StateArchive archive(damaged);
      uart.serialize(archive);
      outside.type("0123456789abcdef0");
      for (uint16_t index = 0; index < 8; ++index) (void)in(index);
      clock.advance(100'000);
    }
  }
}

}  // namespace
}  // namespace vitrine::devices
