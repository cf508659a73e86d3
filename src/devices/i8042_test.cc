#include "devices/i8042.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "devices/irq_sink_for_test.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"

namespace vitrine::devices {
namespace {

class I8042Test : public testing::Test {
 protected:
  uint8_t status() { return static_cast<uint8_t>(ports.read(0x64, 1)); }
  uint8_t data() { return static_cast<uint8_t>(ports.read(0x60, 1)); }
  void command(uint8_t value) { ports.write(0x64, 1, value); }
  void write(uint8_t value) { ports.write(0x60, 1, value); }
  void command(uint8_t value, uint8_t argument) {
    command(value);
    write(argument);
  }
  // Everything that waits, as hexadecimal digits.
  std::string drain() {
    std::string text;
    while ((status() & 1) != 0) text += fmt::format("{:02x} ", data());
    if (!text.empty()) text.pop_back();
    return text;
  }
  std::string mouse_command(uint8_t value) {
    command(0xd4, value);
    return drain();
  }

  memory::PortMap ports;
  IrqSinkForTest irq1;
  IrqSinkForTest irq12;
  int resets = 0;
  std::vector<bool> a20;
  Ps2Keyboard keyboard;
  Ps2Mouse mouse;
  I8042 controller{ports,
                   {IrqLine(irq1, 0), IrqLine(irq12, 0)},
                   {[this] { ++resets; }, [this](bool open) { a20.push_back(open); }},
                   &keyboard,
                   &mouse};
};

TEST_F(I8042Test, SelfTestsAndSystemFlag) {
  EXPECT_EQ(status() & 0x05, 0);
  command(0xaa);
  EXPECT_EQ(status() & 0x05, 0x05);
  EXPECT_EQ(drain(), "55");
  command(0xab);
  EXPECT_EQ(drain(), "00");
  command(0xa9);
  EXPECT_EQ(drain(), "00");
  command(0xa4);
  EXPECT_EQ(drain(), "f1");
}

TEST_F(I8042Test, CommandByteAndRam) {
  command(0x60, 0x47);
  command(0x20);
  EXPECT_EQ(drain(), "47");
  command(0xad);
  command(0xa7);
  command(0x20);
  EXPECT_EQ(drain(), "77");
  command(0xae);
  command(0xa8);
  command(0x20);
  EXPECT_EQ(drain(), "47");
  command(0x71, 0x99);
  command(0x31);
  EXPECT_EQ(drain(), "99");
}

TEST_F(I8042Test, KeyInSet2AndTranslated) {
  command(0x60, 0x01);
  keyboard.key(Key::A, KeyAction::Press);
  EXPECT_TRUE(irq1.level);
  keyboard.key(Key::A, KeyAction::Release);
  EXPECT_EQ(drain(), "1c f0 1c");
  EXPECT_FALSE(irq1.level);
  command(0x60, 0x41);
  keyboard.type(std::array{Key::A});
  keyboard.type(std::array{Key::Up});
  keyboard.type(std::array{Key::Pause});
  EXPECT_EQ(drain(), "1e 9e e0 48 e0 c8 e1 1d 45 e1 9d c5");
}

TEST_F(I8042Test, EachByteIsAnEdge) {
  command(0x60, 0x41);
  keyboard.type(std::array{Key::LeftControl, Key::LeftAlt, Key::Delete});
  EXPECT_EQ(drain(), "1d 38 e0 53 e0 d3 b8 9d");
  EXPECT_EQ(irq1.rises, 8u);
}

TEST_F(I8042Test, InterruptsCanBeOff) {
  command(0x60, 0x00);
  keyboard.key(Key::A, KeyAction::Press);
  EXPECT_EQ(status() & 0x21, 1);
  EXPECT_FALSE(irq1.level);
  command(0x60, 0x01);
  EXPECT_TRUE(irq1.level);
}

TEST_F(I8042Test, DisabledKeyboardKeepsItsKeys) {
  command(0x60, 0x51);
  keyboard.key(Key::B, KeyAction::Press);
  EXPECT_EQ(status() & 1, 0);
  command(0xae);
  EXPECT_EQ(drain(), "30");
  command(0xad);
  write(0xee);  // writing to the keyboard enables it
  EXPECT_EQ(drain(), "ee");
}

TEST_F(I8042Test, KeyboardCommands) {
  command(0x60, 0x01);
  write(0xff);
  EXPECT_EQ(drain(), "fa aa");
  write(0xf2);
  EXPECT_EQ(drain(), "fa ab 83");
  write(0xed);
  EXPECT_EQ(drain(), "fa");
  write(0x05);
  EXPECT_EQ(drain(), "fa");
  EXPECT_EQ(keyboard.leds(), 5);
  write(0xf5);
  EXPECT_EQ(drain(), "fa");
  EXPECT_FALSE(keyboard.key(Key::A, KeyAction::Press));
  write(0xf4);
  EXPECT_EQ(drain(), "fa");
  EXPECT_TRUE(keyboard.key(Key::A, KeyAction::Press));
  EXPECT_EQ(drain(), "1c");
  write(0xfe);
  EXPECT_EQ(drain(), "1c");
  write(0x12);
  EXPECT_EQ(drain(), "fe");
  command(0x60, 0x41);
  write(0xf2);
  EXPECT_EQ(drain(), "fa ab 41");
}

TEST_F(I8042Test, ScanCodeSets) {
  command(0x60, 0x01);
  write(0xf0);
  write(0x00);
  EXPECT_EQ(drain(), "fa fa 02");
  write(0xf0);
  write(0x01);
  EXPECT_EQ(drain(), "fa fa");
  keyboard.type(std::array{Key::Right});
  EXPECT_EQ(drain(), "e0 4d e0 cd");
  write(0xf0);
  write(0x03);
  EXPECT_EQ(drain(), "fa fa");
  keyboard.type(std::array{Key::Right});
  EXPECT_EQ(drain(), "6a f0 6a");
  write(0xf0);
  write(0x04);
  EXPECT_EQ(drain(), "fa fe");
}

TEST_F(I8042Test, ACommandEndsOneThatWaits) {
  write(0xed);
  write(0xee);
  EXPECT_EQ(drain(), "fa ee");
}

TEST_F(I8042Test, QueuesAreBounded) {
  command(0x60, 0x00);
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += keyboard.key(Key::Up, KeyAction::Press) ? 1 : 0;
  EXPECT_EQ(taken, 128);
  EXPECT_EQ(keyboard.chord_room(), 0u);
  for (int i = 0; i < 1000; ++i) command(0xaa);
  for (int i = 0; i < 1000; ++i) write(0xf2);
  EXPECT_FALSE(drain().empty());
  EXPECT_GT(keyboard.chord_room(), 0u);
}

TEST_F(I8042Test, ResetAndA20) {
  command(0xfe);
  EXPECT_EQ(resets, 1);
  command(0xff);
  EXPECT_EQ(resets, 1);
  command(0xd1, 0xdd);
  command(0xd0);
  EXPECT_EQ(drain(), "cd");
  command(0xd1, 0xdf);
  command(0xd1, 0xdf);
  command(0xdd);
  command(0xdf);
  EXPECT_EQ(a20, (std::vector<bool>{false, true, false, true}));
  command(0xd1, 0xde);
  EXPECT_EQ(resets, 2);
}

TEST_F(I8042Test, OutputBufferWrites) {
  command(0x60, 0x03);
  command(0xd2, 0x77);
  EXPECT_EQ(status() & 0x21, 0x01);
  EXPECT_EQ(drain(), "77");
  command(0xd3, 0x88);
  EXPECT_EQ(status() & 0x21, 0x21);
  EXPECT_TRUE(irq12.level);
  EXPECT_FALSE(irq1.level);
  EXPECT_EQ(drain(), "88");
}

TEST_F(I8042Test, MouseCommands) {
  EXPECT_EQ(mouse_command(0xff), "fa aa 00");
  EXPECT_EQ(mouse_command(0xf2), "fa 00");
  EXPECT_EQ(mouse_command(0xe9), "fa 00 02 64");
  EXPECT_EQ(mouse_command(0xe8), "fa");
  EXPECT_EQ(mouse_command(3), "fa");
  EXPECT_EQ(mouse_command(0xe7), "fa");
  EXPECT_EQ(mouse_command(0xf4), "fa");
  EXPECT_EQ(mouse_command(0xe9), "fa 30 03 64");
  EXPECT_EQ(mouse_command(0xee), "fa");
  EXPECT_EQ(mouse_command(0x42), "42");
  EXPECT_EQ(mouse_command(0xec), "fa");
  EXPECT_EQ(mouse_command(0x11), "fe");
}

TEST_F(I8042Test, MousePackets) {
  mouse.move(5, 5);
  EXPECT_EQ(drain(), "");  // not enabled
  mouse_command(0xf6);
  mouse_command(0xf4);
  mouse.move(3, -2);
  EXPECT_TRUE(irq12.level);
  EXPECT_EQ(drain(), "28 03 fe");
  mouse.set_button(MouseButton::Right, true);
  EXPECT_EQ(drain(), "0a 00 00");
  mouse.set_button(MouseButton::Right, true);
  EXPECT_EQ(drain(), "");
  mouse.move(300, 0);
  EXPECT_EQ(drain(), "0a ff 00 0a 2d 00");
}

TEST_F(I8042Test, MovementAddsUpWhileTheGuestDoesNotRead) {
  mouse_command(0xf4);
  for (int i = 0; i < 10; ++i) mouse.move(1, 0, 1);
  EXPECT_EQ(drain(), "08 01 00 08 09 00");
}

TEST_F(I8042Test, WheelAndFiveButtons) {
  for (const uint8_t rate : {200, 100, 80}) {
    mouse_command(0xf3);
    mouse_command(rate);
  }
  EXPECT_EQ(mouse_command(0xf2), "fa 03");
  mouse_command(0xf4);
  mouse.move(0, 0, -1);
  EXPECT_EQ(drain(), "08 00 00 ff");
  for (const uint8_t rate : {200, 200, 80}) {
    mouse_command(0xf3);
    mouse_command(rate);
  }
  EXPECT_EQ(mouse_command(0xf2), "fa 04");
  mouse.set_button(MouseButton::Side, true);
  mouse.move(0, 0, 1);
  EXPECT_EQ(drain(), "08 00 00 10 08 00 00 11");
}

TEST_F(I8042Test, RemoteModeReportsWhenAsked) {
  mouse_command(0xf0);
  mouse_command(0xf4);
  mouse.move(2, 1);
  EXPECT_EQ(drain(), "");
  EXPECT_EQ(mouse_command(0xeb), "fa 08 02 01");
}

TEST_F(I8042Test, NobodyConnected) {
  memory::PortMap other;
  I8042 bare(other, {}, {}, nullptr, nullptr);
  other.write(0x60, 1, 0xff);
  other.write(0x64, 1, 0xd4);
  other.write(0x60, 1, 0xff);
  other.write(0x64, 1, 0xfe);
  other.write(0x64, 1, 0xd1);
  other.write(0x60, 1, 0x00);
  EXPECT_EQ(other.read(0x64, 1) & 1, 0u);
}

TEST_F(I8042Test, StateComesBack) {
  command(0x60, 0x41);
  keyboard.type(std::array{Key::A, Key::B});
  mouse_command(0xf4);
  keyboard.type(std::array{Key::A, Key::B});
  StateArchive saved;
  controller.serialize(saved);
  keyboard.serialize(saved);
  mouse.serialize(saved);
  const std::string expected = drain();

  memory::PortMap other_ports;
  IrqSinkForTest pin;
  Ps2Keyboard other_keyboard;
  Ps2Mouse other_mouse;
  I8042 other(other_ports, {IrqLine(pin, 0), {}}, {}, &other_keyboard, &other_mouse);
  StateArchive load(saved.data());
  other.serialize(load);
  other_keyboard.serialize(load);
  other_mouse.serialize(load);
  ASSERT_TRUE(load.status());
  EXPECT_TRUE(pin.level);
  EXPECT_TRUE(other_mouse.reporting());
  std::string actual;
  while ((other_ports.read(0x64, 1) & 1) != 0) actual += fmt::format("{:02x} ", other_ports.read(0x60, 1));
  actual.pop_back();
  EXPECT_EQ(actual, expected);
}

TEST_F(I8042Test, AnImpossibleQueueIsRefused) {
  StateArchive saved;
  keyboard.serialize(saved);
  std::vector<uint8_t> bytes = saved.data();
  for (size_t i = 20; i < bytes.size(); ++i) bytes[i] = 0xff;
  StateArchive load{std::span<const uint8_t>(bytes)};
  keyboard.serialize(load);
  EXPECT_FALSE(load.status());
  keyboard.type(std::array{Key::A});
  drain();
}

}  // namespace
}  // namespace vitrine::devices
