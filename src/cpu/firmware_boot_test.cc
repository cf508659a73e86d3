// Debian's unmodified SeaBIOS from the reset vector, on memory, ROM and a few ports alone: big real mode, the
// changes between 16 and 32 bits, and a good deal of compiled code, up to where it looks for the PC around
// it.
#include <fstream>
#include <iterator>
#include <string>

#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

constexpr uint32_t kRomSize = 256 << 10;

struct DebugPort : memory::PortDevice {
  std::string text;
  uint32_t read_port(uint16_t, unsigned) override { return 0xe9; }
  void write_port(uint16_t, unsigned, uint32_t value) override { text.push_back(static_cast<char>(value)); }
};

// The refresh bit of port 61h, which delay loops watch.
struct SystemControlPort : memory::PortDevice {
  uint8_t value = 0;
  uint32_t read_port(uint16_t, unsigned) override { return value ^= 0x10; }
  void write_port(uint16_t, unsigned, uint32_t) override {}
};

TEST(FirmwareBootTest, SeaBiosReachesItsFirstOutput) {
  std::ifstream file("/usr/share/seabios/bios-256k.bin", std::ios::binary);
  if (!file) GTEST_SKIP() << "the package seabios is not installed";
  const std::vector<char> image((std::istreambuf_iterator<char>(file)), {});
  ASSERT_EQ(image.size(), kRomSize);

  TestMachine m(TestMode::Real);
  auto rom = memory::RamBlock::create("bios", kRomSize).value();
  std::memcpy(rom->data(), image.data(), image.size());
  m.map.add(memory::Placement::rom(PhysicalAddress(0 - uint64_t{kRomSize} + (uint64_t{1} << 32)), kRomSize,
                                   *rom, 0));
  std::memcpy(m.ram->data() + 0xc0000, image.data(), image.size());
  DebugPort debug;
  SystemControlPort control;
  m.ports.map(0x402, 1, debug);
  m.ports.map(0x61, 1, control);
  m.cpu->reset();
  static_cast<void>(m.cpu->run(2'000'000));
  EXPECT_TRUE(debug.text.starts_with("SeaBIOS (version ")) << debug.text;
}

}  // namespace
}  // namespace vitrine::cpu
