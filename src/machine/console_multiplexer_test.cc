#include "machine/console_multiplexer.h"

#include <gtest/gtest.h>

#include "machine/simple_character_backends.h"

namespace vitrine::machine {
namespace {

class User : public devices::CharacterReceiver {
 public:
  [[nodiscard]] size_t receive_capacity() const override { return capacity; }
  void receive(std::span<const uint8_t> data) override { received.append(data.begin(), data.end()); }
  void carrier_changed(bool present) override { carrier.push_back(present); }
  void receive_break() override { ++breaks; }

  size_t capacity = 100;
  std::string received;
  std::vector<bool> carrier;
  unsigned breaks = 0;
};

class ConsoleMultiplexerTest : public testing::Test {
 protected:
  ConsoleMultiplexerTest() {
    serial_backend_.set_receiver(&serial_);
    monitor_backend_.set_receiver(&monitor_);
  }

  MemoryCharacterBackend terminal_;
  unsigned quits_ = 0, flushes_ = 0;
  User serial_, monitor_;
  ConsoleMultiplexer multiplexer_{terminal_, {[this] { ++quits_; }, [this] { ++flushes_; }}};
  devices::CharacterBackend& serial_backend_ = multiplexer_.add_front_end(FrontEndRole::Line);
  devices::CharacterBackend& monitor_backend_ = multiplexer_.add_front_end(FrontEndRole::Monitor);
};

TEST_F(ConsoleMultiplexerTest, TheFirstUserHasTheFocus) {
  terminal_.type("abc");
  EXPECT_EQ(serial_.received, "abc");
  EXPECT_EQ(monitor_.received, "");
}

TEST_F(ConsoleMultiplexerTest, ControlACSwitches) {
  EXPECT_TRUE(serial_backend_.carrier());
  EXPECT_FALSE(monitor_backend_.carrier());
  terminal_.type(
      "a\x01"
      "cinfo\x01"
      "cb");
  EXPECT_EQ(serial_.received, "ab");
  EXPECT_EQ(monitor_.received, "info");
  EXPECT_EQ(monitor_.carrier, (std::vector<bool>{true, false}));
  EXPECT_TRUE(serial_.carrier.empty());
}

TEST_F(ConsoleMultiplexerTest, TheOtherEscapes) {
  terminal_.type("\x01h");
  EXPECT_NE(terminal_.take().find("Ctrl-a x"), std::string::npos);
  terminal_.type("\x01s");
  EXPECT_EQ(flushes_, 1u);
  terminal_.type(
      "\x01"
      "b");
  EXPECT_EQ(serial_.breaks, 1u);
  terminal_.type("\x01\x01");
  EXPECT_EQ(serial_.received, "\x01");
  terminal_.type("\x01?\x01~");
  EXPECT_EQ(serial_.received, "\x01");
  EXPECT_EQ(quits_, 0u);
  terminal_.type("\x01x");
  EXPECT_EQ(quits_, 1u);
}

TEST_F(ConsoleMultiplexerTest, AnEscapeMayComeInTwoPieces) {
  terminal_.type("\x01");
  EXPECT_EQ(quits_, 0u);
  terminal_.type("x");
  EXPECT_EQ(quits_, 1u);
}

TEST_F(ConsoleMultiplexerTest, EveryUserIsHeard) {
  const std::array<uint8_t, 2> text = {'h', 'i'};
  serial_backend_.send(text);
  monitor_backend_.send(text);
  EXPECT_EQ(terminal_.sent(), "hihi");
}

TEST_F(ConsoleMultiplexerTest, AGuestThatDoesNotReadCannotKeepTheEscapesAway) {
  serial_.capacity = 0;
  terminal_.type("typed ahead\x01x");
  EXPECT_EQ(quits_, 1u);
  serial_.capacity = 100;
  serial_backend_.receiver_ready();
  EXPECT_EQ(serial_.received, "typed ahead");
}

TEST_F(ConsoleMultiplexerTest, TypeAheadIsBounded) {
  serial_.capacity = 0;
  terminal_.type(std::string(10'000, 'x'));
  EXPECT_EQ(terminal_.waiting(), 10'000u - 4096u);
  serial_.capacity = 20'000;
  serial_backend_.receiver_ready();
  EXPECT_EQ(serial_.received.size(), 10'000u);
}

}  // namespace
}  // namespace vitrine::machine
