#include "devices/debug_console.h"

#include <gtest/gtest.h>

#include <string>

namespace vitrine::devices {
namespace {

struct Outside : CharacterBackend {
  void send(std::span<const uint8_t> data) override { sent.append(data.begin(), data.end()); }
  void set_receiver(CharacterReceiver* /*receiver*/) override {}
  std::string sent;
};

TEST(DebugConsole, SendsBytesAndSaysThatItIsThere) {
  Outside outside;
  DebugConsole console(&outside);
  memory::PortMap ports;
  ports.map(0x402, 1, console);
  EXPECT_EQ(ports.read(0x402, 1), 0xe9u);
  for (const char letter : std::string("ok\n")) ports.write(0x402, 1, static_cast<uint8_t>(letter));
  EXPECT_EQ(outside.sent, "ok\n");
}

TEST(DebugConsole, MayLeadNowhere) {
  DebugConsole console(nullptr);
  console.write_port(0x402, 1, 'x');
}

}  // namespace
}  // namespace vitrine::devices
