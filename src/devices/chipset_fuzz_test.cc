// Random accesses to the whole chipset: ports, configuration space, memory windows, events from outside, and
// damaged saved states. Nothing is expected but that all of it ends, which AddressSanitizer and
// UndefinedBehaviorSanitizer make a strict demand.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "devices/fw_cfg.h"
#include "devices/gsi_router.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/pci_bus.h"
#include "devices/piix3.h"
#include "devices/piix4_pm.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"
#include "devices/vga.h"
#include "devices/vga_pci.h"
#include "devices/vga_renderer.h"
#include "devices/vga_text.h"

namespace vitrine::devices {
namespace {

using memory::RamBlock;

// The seed, unless the environment names another one to look further.
uint64_t seed() {
  const char* chosen = std::getenv("VITRINE_FUZZ_SEED");
  return chosen != nullptr ? std::strtoull(chosen, nullptr, 0) : 20240229;
}
constexpr unsigned kRounds = 10;
constexpr unsigned kSteps = 30'000;

struct Sink : IrqSink {
  void set_irq_line(unsigned, bool) override {}
};

// The order of the members is the order of construction: maps first, then the bus, then what sits on it.
struct Board {
  Board() {
    bus.attach(host, 0);
    bus.attach(isa, 1, 0);
    bus.attach(power, 1, 3);
    bus.attach(display, 2);
    bus.connect_pirqs(isa.pirqs());
    firmware.set_memory(ram->size(), {});
    firmware.set_processors(1, 1);
    firmware.set_system_states();
  }

  void serialize(StateArchive& archive) {
    for (Serializable* each : std::initializer_list<Serializable*>{
             &router, &bus, &host, &isa, &power, &display, &firmware, &keyboard, &mouse, &controller}) {
      each->serialize(archive);
    }
  }

  ManualClock clock;
  memory::PortMap ports;
  std::unique_ptr<RamBlock> ram = RamBlock::create("ram", 2 << 20).value();
  std::unique_ptr<RamBlock> legacy_rom = RamBlock::create("rom", I440fx::kLegacyRomSize).value();
  std::unique_ptr<RamBlock> video = RamBlock::create("video", 1 << 20).value();
  std::unique_ptr<RamBlock> video_rom = RamBlock::create("video rom", 0x10000).value();
  memory::PhysicalMap memory;
  Sink sink;
  GsiRouter router{&sink, &sink};
  PciBus bus{ports, memory};
  I440fx host{memory, *ram, *legacy_rom};
  Piix3 isa{router.connect_isa()};
  unsigned power_offs = 0;
  Piix4Pm power{clock, ports, router.connect(9), [this] { ++power_offs; }};
  Vga vga{clock, ports, memory, *video};
  VgaPci display{vga, video_rom.get()};
  FwCfg firmware{ports, memory};
  Ps2Keyboard keyboard;
  Ps2Mouse mouse;
  unsigned resets = 0;
  I8042 controller{ports,
                   {router.connect(1), router.connect(12)},
                   {[this] { ++resets; }, [this](bool open) { memory.set_a20(open); }},
                   &keyboard,
                   &mouse};
};

class ChipsetFuzz : public testing::Test {
 protected:
  uint32_t any() { return static_cast<uint32_t>(random()); }
  uint32_t below(uint32_t bound) { return any() % bound; }
  unsigned size() { return 1u << below(3); }
  // Numbers that mean something somewhere are likelier than others.
  uint32_t value() {
    switch (below(6)) {
      case 0: return 0;
      case 1: return ~0u;
      case 2: return 1u << below(32);
      case 3: return below(256);
      case 4: return any() & 0xffff;
      default: return any();
    }
  }

  uint16_t port() {
    constexpr uint16_t kPorts[] = {0x60,  0x64,  0xb2,  0xb3,  0x1ce,  0x1cf, 0x3b4,
                                   0x3c0, 0x3c4, 0x3c8, 0x3ce, 0x3d4,  0x3da, 0x510,
                                   0x511, 0x514, 0x518, 0x600, 0xafe0, 0xcf8, 0xcfc};
    if (below(20) == 0) return static_cast<uint16_t>(any());
    const uint16_t base = kPorts[below(std::size(kPorts))];
    return static_cast<uint16_t>(base + (below(2) == 0 ? 0 : below(8)));
  }
  uint64_t address() {
    switch (below(5)) {
      case 0: return 0xa0000 + below(0x60000);
      case 1: return 0xa0000 + below(0x20000);
      case 2: return 0xfd000000 + below(0x200000);
      case 3: return below(0x200000);
      default: return (uint64_t{any()} << 32 | any()) >> below(33);
    }
  }

  void configure(Board& board) {
    const uint32_t devfn = std::array<uint32_t, 4>{0, 8, 11, 16}[below(4)];
    board.ports.write(0xcf8, 4, 0x80000000 | devfn << 8 | (below(256) & 0xfc));
    if (below(3) == 0) {
      (void)board.ports.read(static_cast<uint16_t>(0xcfc + below(4)), size());
    } else {
      board.ports.write(static_cast<uint16_t>(0xcfc + below(4)), size(), value());
    }
  }

  void dma(Board& board) {
    const uint64_t descriptor = below(0x1ff000);
    for (unsigned i = 0; i < 4; ++i) board.memory.write(PhysicalAddress(descriptor + 4 * i), 4, value());
    board.ports.write(0x514, 4, below(8) == 0 ? any() : 0);
    board.ports.write(0x518, 4, __builtin_bswap32(static_cast<uint32_t>(descriptor)));
  }

  void outside(Board& board) {
    switch (below(8)) {
      case 0: board.clock.advance(any()); break;
      case 1: board.clock.advance(below(100'000)); break;
      case 2:
        board.keyboard.key(static_cast<Key>(below(static_cast<uint32_t>(Key::kCount))),
                           below(2) == 0 ? KeyAction::Press : KeyAction::Release);
        break;
      case 3:
        board.mouse.move(static_cast<int>(any()), static_cast<int>(any()), static_cast<int>(any()));
        break;
      case 4: board.mouse.set_button(static_cast<MouseButton>(below(5)), below(2) == 0); break;
      case 5: board.power.press_power_button(); break;
      case 6: board.power.raise_general_event(below(16)); break;
      default: board.isa.set_irq_line(below(4), below(2) == 0); break;
    }
  }

  void look(Board& board) {
    const std::span<const uint8_t> video(board.video->data(), board.video->size());
    const VgaImage image = VgaRenderer(board.vga.state(), video, board.vga.frame()).render();
    ASSERT_EQ(image.pixels.size(), size_t{image.width} * image.height);
    (void)read_vga_text(board.vga.state(), video);
  }

  // One guest access, or one thing that happens to the machine.
  void step(Board& board) {
    switch (below(12)) {
      case 0:
      case 1: configure(board); break;
      case 2: dma(board); break;
      case 3: outside(board); break;
      case 4:
      case 5: (void)board.memory.read(PhysicalAddress(address()), size()); break;
      case 6:
      case 7: board.memory.write(PhysicalAddress(address()), size(), value()); break;
      case 8: (void)board.ports.read(port(), size()); break;
      default: board.ports.write(port(), size(), value()); break;
    }
  }

  std::mt19937_64 random{seed()};
};

TEST_F(ChipsetFuzz, RandomAccesses) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed()));
  unsigned outputs = 0;
  for (unsigned round = 0; round < kRounds; ++round) {
    Board board;
    for (unsigned i = 0; i < kSteps; ++i) {
      step(board);
      if (i % 2000 == 0) look(board);
      if (i % 5000 == 0) board.bus.reset();
    }
    outputs += board.resets + board.power_offs;
    // Whatever was written: the header of the bridge is what it was.
    board.ports.write(0xcf8, 4, 0x80000000);
    EXPECT_EQ(board.ports.read(0xcfc, 4), 0x12378086u);
  }
  EXPECT_GT(outputs, 0u);  // the accesses did reach the devices
}

TEST_F(ChipsetFuzz, SavedStatesComeBackTheSame) {
  Board board;
  for (unsigned i = 0; i < 5000; ++i) step(board);
  StateArchive saved;
  board.serialize(saved);
  Board other;
  other.clock.advance_to(board.clock.now());
  StateArchive load(saved.data());
  other.serialize(load);
  ASSERT_TRUE(load.status());
  StateArchive again;
  other.serialize(again);
  EXPECT_EQ(again.data(), saved.data());
}

TEST_F(ChipsetFuzz, DamagedStatesDoNoHarm) {
  Board board;
  for (unsigned i = 0; i < 2000; ++i) step(board);
  StateArchive saved;
  board.serialize(saved);
  for (unsigned round = 0; round < 60; ++round) {
    std::vector<uint8_t> damaged = saved.data();
    for (unsigned i = 0; i < 20; ++i)
      damaged[below(static_cast<uint32_t>(damaged.size()))] = static_cast<uint8_t>(any());
    if (below(4) == 0) damaged.resize(below(static_cast<uint32_t>(damaged.size())));
    Board other;
    StateArchive load{std::span<const uint8_t>(damaged)};
    other.serialize(load);
    for (unsigned i = 0; i < 100; ++i) step(other);
    look(other);
  }
}

}  // namespace
}  // namespace vitrine::devices
