#include "devices/vga.h"

#include <gtest/gtest.h>

#include "devices/pci_bus.h"
#include "devices/vga_pci.h"
#include "devices/vga_renderer.h"
#include "devices/vga_text.h"

namespace vitrine::devices {
namespace {

using memory::RamBlock;

// The register values that the IBM VGA BIOS documents for a few modes.
struct ModeSetup {
  uint8_t misc;
  uint8_t sequencer[5];
  uint8_t crtc[25];
  uint8_t graphics[9];
  uint8_t mode_control;
};
constexpr ModeSetup kText = {0x67,
                             {3, 0, 3, 0, 2},
                             {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0,    0x4f, 0x0d, 0x0e, 0,
                              0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
                             {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff},
                             0x0c};
constexpr ModeSetup k256 = {0x63,
                            {3, 1, 0x0f, 0, 0x0e},
                            {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0,    0x41, 0,    0,   0,
                             0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
                            {0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff},
                            0x41};
constexpr ModeSetup k16 = {0xe3,
                           {3, 1, 0x0f, 0, 6},
                           {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0,    0x40, 0,    0,   0,
                            0,    0,    0,    0xea, 0x8c, 0xdf, 0x28, 0,    0xe7, 0x04, 0xe3, 0xff},
                           {0, 0, 0, 0, 0, 0, 0x05, 0x0f, 0xff},
                           0x01};
constexpr ModeSetup kCga4 = {0x63,
                             {3, 9, 3, 0, 2},
                             {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0,    0xc1, 0,    0,   0,
                              0,    0,    0,    0x9c, 0x8e, 0x8f, 0x14, 0,    0x96, 0xb9, 0xa2, 0xff},
                             {0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff},
                             0x01};

class VgaTest : public testing::Test {
 protected:
  void out(uint16_t port, uint8_t value) { ports.write(port, 1, value); }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(ports.read(port, 1)); }
  void indexed(uint16_t port, uint8_t index, uint8_t value) { ports.write(port, 2, index | value << 8); }
  uint8_t indexed(uint16_t port, uint8_t index) {
    out(port, index);
    return in(static_cast<uint16_t>(port + 1));
  }
  void attribute(uint8_t index, uint8_t value) {
    (void)in(0x3da);
    out(0x3c0, index);
    out(0x3c0, value);
  }
  void graphics(uint8_t index, uint8_t value) { indexed(0x3ce, index, value); }
  void sequencer(uint8_t index, uint8_t value) { indexed(0x3c4, index, value); }
  void crtc(uint8_t index, uint8_t value) { indexed(0x3d4, index, value); }
  void vbe(uint16_t index, uint16_t value) {
    ports.write(0x1ce, 2, index);
    ports.write(0x1cf, 2, value);
  }
  uint16_t vbe(uint16_t index) {
    ports.write(0x1ce, 2, index);
    return static_cast<uint16_t>(ports.read(0x1cf, 2));
  }
  void poke(uint64_t address, uint8_t value) { memory.write(PhysicalAddress(address), 1, value); }
  uint8_t peek(uint64_t address) { return static_cast<uint8_t>(memory.read(PhysicalAddress(address), 1)); }
  uint8_t plane(unsigned index, unsigned address) { return block->data()[address * 4 + index]; }

  void set_mode(const ModeSetup& mode) {
    out(0x3c2, mode.misc);
    for (uint8_t i = 0; i < 5; ++i) sequencer(i, mode.sequencer[i]);
    crtc(0x11, 0);
    for (uint8_t i = 0; i < 25; ++i) crtc(i, mode.crtc[i]);
    for (uint8_t i = 0; i < 9; ++i) graphics(i, mode.graphics[i]);
    for (uint8_t i = 0; i < 16; ++i) attribute(i, i);
    attribute(0x10, mode.mode_control);
    attribute(0x12, 0x0f);
    attribute(0x13, (mode.sequencer[1] & 1) == 0 ? 8 : 0);  // nine dots: 8 is no panning
    (void)in(0x3da);
    out(0x3c0, 0x20);
    // Colour i is (i, 0, 63 - i % 64).
    out(0x3c6, 0xff);
    out(0x3c8, 0);
    for (unsigned i = 0; i < 256; ++i) {
      out(0x3c9, static_cast<uint8_t>(i & 0x3f));
      out(0x3c9, static_cast<uint8_t>(i >> 6));
      out(0x3c9, static_cast<uint8_t>(63 - (i & 0x3f)));
    }
  }
  static uint32_t colour(unsigned i) {
    const auto wide = [](unsigned v) { return v << 2 | v >> 4; };
    return wide(i & 0x3f) << 16 | wide(i >> 6) << 8 | wide(63 - (i & 0x3f));
  }
  std::span<const uint8_t> bytes() const { return {block->data(), block->size()}; }
  VgaImage render(uint64_t frame = 0) { return VgaRenderer(vga.state(), bytes(), frame).render(); }
  static uint32_t pixel(const VgaImage& image, unsigned x, unsigned y) {
    return image.pixels.at(y * image.width + x);
  }

  ManualClock clock;
  memory::PortMap ports;
  memory::PhysicalMap memory;
  std::unique_ptr<RamBlock> block = RamBlock::create("video", 16 << 20).value();
  Vga vga{clock, ports, memory, *block};
};

TEST_F(VgaTest, RegistersReadBackTheBitsThatExist) {
  out(0x3c2, 0xff);
  EXPECT_EQ(in(0x3cc), 0xef);
  sequencer(1, 0xff);
  EXPECT_EQ(indexed(0x3c4, 1), 0x3d);
  graphics(6, 0xff);
  EXPECT_EQ(indexed(0x3ce, 6), 0x0f);
  crtc(0x0c, 0x5a);
  EXPECT_EQ(indexed(0x3d4, 0x0c), 0x5a);
  EXPECT_EQ(in(0x3b5), 0xff);
  attribute(0x10, 0xff);
  (void)in(0x3da);
  out(0x3c0, 0x10);
  EXPECT_EQ(in(0x3c1), 0xef);
  out(0x3c2, 0);
  EXPECT_EQ(in(0x3d5), 0xff);
  EXPECT_EQ(in(0x3b5), 0x5a);
}

TEST_F(VgaTest, ProtectedCrtcRegistersKeepAllButLineCompare) {
  out(0x3c2, 1);
  crtc(0, 0x11);
  crtc(0x11, 0x80);
  crtc(0, 0x22);
  crtc(7, 0xff);
  EXPECT_EQ(indexed(0x3d4, 0), 0x11);
  EXPECT_EQ(indexed(0x3d4, 7), 0x10);
}

TEST_F(VgaTest, DacReadsAndWritesTriples) {
  out(0x3c8, 5);
  for (const uint8_t value : {1, 2, 0xff}) out(0x3c9, value);
  out(0x3c9, 9);  // an unfinished triple changes nothing
  EXPECT_EQ(in(0x3c8), 6);
  out(0x3c7, 5);
  EXPECT_EQ(in(0x3c7), 3);
  EXPECT_EQ(in(0x3c9), 1);
  EXPECT_EQ(in(0x3c9), 2);
  EXPECT_EQ(in(0x3c9), 0x3f);
  EXPECT_EQ(in(0x3c9), 0);
}

TEST_F(VgaTest, RetraceFollowsTheClock) {
  set_mode(kText);
  // 100 characters of 9 dots at 28.322 MHz are 31.777 µs; 449 lines; retrace at line 412 for two lines.
  EXPECT_EQ(in(0x3da) & 9, 0);
  clock.advance_to(30'000);
  EXPECT_EQ(in(0x3da) & 9, 1);
  clock.advance_to(405 * 31'777);
  EXPECT_EQ(in(0x3da) & 9, 1);
  clock.advance_to(412 * 31'777 + 100);
  EXPECT_EQ(in(0x3da) & 9, 9);
  clock.advance_to(414 * 31'777 + 100);
  EXPECT_EQ(in(0x3da) & 9, 1);
  clock.advance_to(450 * 31'777);
  EXPECT_EQ(in(0x3da) & 9, 0);
  EXPECT_EQ(vga.frame(), 1u);
}

TEST_F(VgaTest, MemoryMapsChooseTheWindow) {
  set_mode(k16);
  const uint64_t ends[4][2] = {
      {0xa0000, 0xc0000}, {0xa0000, 0xb0000}, {0xb0000, 0xb8000}, {0xb8000, 0xc0000}};
  for (uint8_t map = 0; map < 4; ++map) {
    graphics(6, static_cast<uint8_t>(1 | map << 2));
    for (uint64_t address = 0xa0000; address < 0xc0000; address += 0x4000) {
      poke(address, 0x12);
      const bool inside = address >= ends[map][0] && address < ends[map][1];
      EXPECT_EQ(peek(address), inside ? 0x12 : 0xff) << int{map} << ' ' << address;
    }
  }
  out(0x3c2, 0xe1);  // RAM off
  EXPECT_EQ(peek(0xb8000), 0xff);
}

TEST_F(VgaTest, WriteModeZeroSetResetMaskRotateAndFunctions) {
  set_mode(k16);
  poke(0xa0000, 0xf0);
  EXPECT_EQ(plane(3, 0), 0xf0);
  sequencer(2, 0x05);
  graphics(3, 4);  // rotate by four
  poke(0xa0000, 0xa5);
  EXPECT_EQ(plane(0, 0), 0x5a);
  EXPECT_EQ(plane(1, 0), 0xf0);
  sequencer(2, 0x0f);
  graphics(3, 0);
  graphics(0, 0x02);
  graphics(1, 0x03);
  poke(0xa0001, 0x77);
  EXPECT_EQ(plane(0, 1), 0x00);
  EXPECT_EQ(plane(1, 1), 0xff);
  EXPECT_EQ(plane(2, 1), 0x77);
  graphics(1, 0);
  graphics(8, 0x0f);
  (void)peek(0xa0001);  // latches
  poke(0xa0001, 0x00);
  EXPECT_EQ(plane(1, 1), 0xf0);
  EXPECT_EQ(plane(2, 1), 0x70);
  graphics(8, 0xff);
  const uint8_t expected[] = {0x33, 0x33 & 0x70, 0x33 | 0x70, 0x33 ^ 0x70};
  for (uint8_t function = 0; function < 4; ++function) {
    poke(0xa0002, 0);
    graphics(3, 0);
    poke(0xa0002, 0x70);
    graphics(3, static_cast<uint8_t>(function << 3));
    (void)peek(0xa0002);
    poke(0xa0002, 0x33);
    EXPECT_EQ(plane(2, 2), expected[function]);
    graphics(3, 0);
  }
}

TEST_F(VgaTest, WriteModesOneTwoThree) {
  set_mode(k16);
  sequencer(2, 0x09);
  poke(0xa0000, 0x5a);
  sequencer(2, 0x0f);
  graphics(5, 1);
  (void)peek(0xa0000);
  poke(0xa0010, 0xff);
  EXPECT_EQ(plane(0, 16), 0x5a);
  EXPECT_EQ(plane(1, 16), 0x00);
  EXPECT_EQ(plane(3, 16), 0x5a);
  graphics(5, 2);
  graphics(8, 0xf0);
  (void)peek(0xa0020);
  poke(0xa0020, 0x06);
  EXPECT_EQ(plane(0, 32), 0x00);
  EXPECT_EQ(plane(1, 32), 0xf0);
  EXPECT_EQ(plane(2, 32), 0xf0);
  graphics(5, 3);
  graphics(0, 0x01);
  graphics(8, 0x3c);
  (void)peek(0xa0000);
  poke(0xa0030, 0xf0);
  EXPECT_EQ(plane(0, 48), 0x7a);  // 5A with bits 30h set
  EXPECT_EQ(plane(3, 48), 0x4a);  // 5A with bits 30h cleared
}

TEST_F(VgaTest, ReadModes) {
  set_mode(k16);
  sequencer(2, 0x05);
  poke(0xa0000, 0xff);
  sequencer(2, 0x02);
  poke(0xa0000, 0x0f);
  for (uint8_t map = 0; map < 4; ++map) {
    graphics(4, map);
    EXPECT_EQ(peek(0xa0000), plane(map, 0));
  }
  graphics(5, 8);
  graphics(2, 0x05);
  EXPECT_EQ(peek(0xa0000), 0xf0);
  graphics(7, 0x0d);  // plane 1 does not matter
  EXPECT_EQ(peek(0xa0000), 0xff);
  graphics(2, 0x0d);
  EXPECT_EQ(peek(0xa0000), 0x00);
}

TEST_F(VgaTest, ChainFourAndOddEven) {
  set_mode(k256);
  for (uint8_t i = 0; i < 8; ++i) poke(0xa0000 + i, static_cast<uint8_t>(0x10 + i));
  EXPECT_EQ(plane(2, 0), 0x12);
  EXPECT_EQ(plane(3, 4), 0x17);
  EXPECT_EQ(peek(0xa0007), 0x17);
  set_mode(kText);
  poke(0xb8000, 'A');
  poke(0xb8001, 0x1f);
  EXPECT_EQ(plane(0, 0), 'A');
  EXPECT_EQ(plane(1, 0), 0x1f);
  EXPECT_EQ(peek(0xb8001), 0x1f);
}

TEST_F(VgaTest, WatchedPagesAreTold) {
  struct Listener : memory::WriteListener {
    int told = 0;
    void watched_page_written(RamBlock&, uint64_t, uint8_t) override { ++told; }
  } listener;
  memory.add_write_listener(listener);
  block->watch(0, memory::Watch::Code);
  set_mode(k16);
  poke(0xa0000, 1);
  EXPECT_EQ(listener.told, 1);
  vbe(1, 640);
  vbe(2, 480);
  vbe(4, 0x41);
  EXPECT_EQ(listener.told, 2);
  memory.remove_write_listener(listener);
}

TEST_F(VgaTest, VbeRegisters) {
  EXPECT_EQ(vbe(0), 0xb0c5);
  vbe(0, 0xb0c0);
  EXPECT_EQ(vbe(0), 0xb0c0);
  vbe(0, 0x1234);
  EXPECT_EQ(vbe(0), 0xb0c0);
  EXPECT_EQ(vbe(10), 256);
  vbe(1, 800);
  vbe(2, 600);
  vbe(3, 32);
  vbe(4, 0x41);
  EXPECT_EQ(vbe(6), 800);
  EXPECT_EQ(vbe(7), (16 << 20) / 3200);
  vbe(6, 1024);
  EXPECT_EQ(vbe(6), 1024);
  vbe(4, 2);
  EXPECT_EQ(vbe(1), 4096);
  EXPECT_EQ(vbe(3), 32);
  EXPECT_EQ(vbe(99), 0);
}

TEST_F(VgaTest, VbeBanksAndClearing) {
  set_mode(k256);
  block->data()[100] = 7;
  vbe(1, 640);
  vbe(2, 480);
  vbe(3, 8);
  vbe(4, 0xc1);
  EXPECT_EQ(peek(0xa0064), 7);
  vbe(4, 0);
  vbe(4, 0x41);
  EXPECT_EQ(peek(0xa0064), 0);
  vbe(5, 3);
  poke(0xa0001, 9);
  EXPECT_EQ(block->data()[0x30001], 9);
}

TEST_F(VgaTest, RendersText) {
  set_mode(kText);
  // A font in plane 2: 'A' has its leftmost and rightmost dots set, C4h all of them.
  block->data()[('A' * 32 + 3) * 4 + 2] = 0x81;
  block->data()[(0xc4 * 32 + 3) * 4 + 2] = 0xff;
  poke(0xb8000, 'A');
  poke(0xb8001, 0x1f);
  poke(0xb8002, 0xc4);
  poke(0xb8003, 0x07);
  crtc(0x0e, 0x07);  // the cursor elsewhere
  const VgaImage image = render();
  EXPECT_EQ(image.width, 720u);
  EXPECT_EQ(image.height, 400u);
  EXPECT_EQ(pixel(image, 0, 3), colour(15));
  EXPECT_EQ(pixel(image, 1, 3), colour(1));
  EXPECT_EQ(pixel(image, 7, 3), colour(15));
  EXPECT_EQ(pixel(image, 8, 3), colour(1));
  EXPECT_EQ(pixel(image, 17, 3), colour(7));  // line graphics fill the ninth dot
  EXPECT_EQ(pixel(image, 0, 4), colour(1));
  EXPECT_EQ(pixel(image, 0, 16), colour(0));
}

TEST_F(VgaTest, CursorAndBlinking) {
  set_mode(kText);
  for (unsigned i = 0; i < 32; ++i) block->data()[('#' * 32 + i) * 4 + 2] = 0xff;
  poke(0xb8000, '#');
  poke(0xb8001, 0x8f);
  poke(0xb8003, 0x07);
  crtc(0x0f, 1);
  EXPECT_EQ(pixel(render(0), 9, 13), colour(7));
  EXPECT_EQ(pixel(render(0), 9, 12), colour(0));
  EXPECT_EQ(pixel(render(16), 9, 13), colour(0));
  crtc(0x0a, 0x2d);
  EXPECT_EQ(pixel(render(0), 9, 13), colour(0));
  EXPECT_EQ(pixel(render(0), 0, 0), colour(15));
  EXPECT_EQ(pixel(render(32), 0, 0), colour(0));
  attribute(0x10, 0x04);
  (void)in(0x3da);
  out(0x3c0, 0x20);
  EXPECT_EQ(pixel(render(32), 0, 0), colour(15));  // no blinking: the bit is the background's
}

TEST_F(VgaTest, Renders256Colours) {
  set_mode(k256);
  poke(0xa0000, 0x21);
  poke(0xa0001, 0x42);
  poke(0xa0000 + 319, 0x83);
  poke(0xa0000 + 320 * 199, 0x14);
  const VgaImage image = render();
  EXPECT_EQ(image.width, 640u);
  EXPECT_EQ(image.height, 400u);
  EXPECT_EQ(pixel(image, 0, 0), colour(0x21));
  EXPECT_EQ(pixel(image, 1, 1), colour(0x21));
  EXPECT_EQ(pixel(image, 2, 0), colour(0x42));
  EXPECT_EQ(pixel(image, 639, 0), colour(0x83));
  EXPECT_EQ(pixel(image, 0, 398), colour(0x14));
}

TEST_F(VgaTest, RendersUnchainedModes) {
  set_mode(k256);
  sequencer(4, 6);
  crtc(0x14, 0);
  crtc(0x17, 0xe3);
  sequencer(2, 0x02);
  poke(0xa0000 + 80, 0x33);  // plane 1: pixel 1 of row 1
  EXPECT_EQ(pixel(render(), 2, 2), colour(0x33));
  crtc(0x0d, 80);  // start address: a row further
  EXPECT_EQ(pixel(render(), 2, 0), colour(0x33));
}

TEST_F(VgaTest, RendersPlanesWithPanningAndLineCompare) {
  set_mode(k16);
  sequencer(2, 0x09);
  poke(0xa0000 + 80 * 2, 0x01);  // dot 7 of line 2, colour 9
  VgaImage image = render();
  EXPECT_EQ(image.width, 640u);
  EXPECT_EQ(image.height, 480u);
  EXPECT_EQ(pixel(image, 7, 2), colour(9));
  EXPECT_EQ(pixel(image, 6, 2), colour(0));
  attribute(0x13, 3);
  (void)in(0x3da);
  out(0x3c0, 0x20);
  EXPECT_EQ(pixel(render(), 4, 2), colour(9));
  crtc(7, 0x2e);
  crtc(9, 0);
  crtc(0x18, 99);  // memory starts again at line 100
  EXPECT_EQ(pixel(render(), 4, 102), colour(9));
  attribute(0x10, 0x21);
  (void)in(0x3da);
  out(0x3c0, 0x20);
  EXPECT_EQ(pixel(render(), 7, 102), colour(9));
  attribute(0x12, 0x01);
  (void)in(0x3da);
  out(0x3c0, 0x20);
  EXPECT_EQ(pixel(render(), 7, 102), colour(1));
}

TEST_F(VgaTest, RendersCga) {
  set_mode(kCga4);
  poke(0xb8000, 0x1b);           // 0, 1, 2, 3
  poke(0xb8001, 0xc0);           // 3, 0, 0, 0
  poke(0xb8000 + 0x2000, 0x80);  // second line
  const VgaImage image = render();
  EXPECT_EQ(image.width, 640u);
  EXPECT_EQ(image.height, 400u);
  EXPECT_EQ(pixel(image, 2, 0), colour(1));
  EXPECT_EQ(pixel(image, 5, 1), colour(2));
  EXPECT_EQ(pixel(image, 6, 0), colour(3));
  EXPECT_EQ(pixel(image, 8, 0), colour(3));
  EXPECT_EQ(pixel(image, 0, 2), colour(2));
}

TEST_F(VgaTest, RendersEveryVbeDepth) {
  set_mode(k256);
  const struct {
    uint16_t bits;
    uint32_t value;
    uint32_t expected;
  } cases[] = {{8, 0x21, colour(0x21)},
               {15, 0x7c1f, 0xff00ff},
               {16, 0x07e0, 0x00ff00},
               {24, 0x123456, 0x123456},
               {32, 0xff654321, 0x654321}};
  for (const auto& each : cases) {
    vbe(4, 0);
    vbe(1, 64);
    vbe(2, 32);
    vbe(3, each.bits);
    vbe(4, 0x41);
    const unsigned size = (each.bits + 7u) / 8;
    for (unsigned i = 0; i < size; ++i) {
      block->data()[(64 * 3 + 5) * size + i] = static_cast<uint8_t>(each.value >> (8 * i));
    }
    VgaImage image = render();
    EXPECT_EQ(image.width, 64u);
    EXPECT_EQ(image.height, 32u);
    EXPECT_EQ(pixel(image, 5, 3), each.expected) << each.bits;
    vbe(8, 1);
    vbe(9, 1);
    EXPECT_EQ(pixel(render(), 4, 2), each.expected) << each.bits;
  }
  vbe(4, 0);
  vbe(3, 4);
  vbe(4, 0x41);
  sequencer(4, 6);
  sequencer(2, 0x06);
  poke(0xa0000 + 8 * 3, 0x04);
  EXPECT_EQ(pixel(render(), 5, 3), colour(6));
}

TEST_F(VgaTest, ScreenOffIsBlack) {
  set_mode(k256);
  poke(0xa0000, 0x21);
  sequencer(1, 0x21);
  EXPECT_EQ(pixel(render(), 0, 0), 0u);
  sequencer(1, 0x01);
  (void)in(0x3da);
  out(0x3c0, 0x00);
  EXPECT_EQ(pixel(render(), 0, 0), 0u);
}

TEST_F(VgaTest, TextAsText) {
  set_mode(kText);
  const std::string hello = "Hello, world";
  for (unsigned i = 0; i < hello.size(); ++i) poke(0xb8000 + 160 + 2 * i, static_cast<uint8_t>(hello[i]));
  poke(0xb8000, 0xc9);
  crtc(0x0f, 85);
  const VgaText text = read_vga_text(vga.state(), bytes());
  ASSERT_EQ(text.lines.size(), 25u);
  EXPECT_EQ(text.columns, 80u);
  EXPECT_EQ(text.lines[0], "╔");
  EXPECT_EQ(text.lines[1], hello);
  EXPECT_EQ(text.lines[2], "");
  EXPECT_EQ(text.cursor_row, 1u);
  EXPECT_EQ(text.cursor_column, 5u);
  crtc(0x0d, 80);  // scrolled by a row
  EXPECT_EQ(read_vga_text(vga.state(), bytes()).lines[0], hello);
  set_mode(k256);
  EXPECT_TRUE(read_vga_text(vga.state(), bytes()).lines.empty());
}

TEST_F(VgaTest, AsAPciFunction) {
  auto rom = RamBlock::create("rom", 0x10000).value();
  rom->data()[0] = 0x55;
  PciBus bus(ports, memory);
  VgaPci function(vga, rom.get());
  bus.attach(function, 2);
  EXPECT_EQ(function.read_config(0, 4), 0x11111234u);
  EXPECT_EQ(function.read_config(0x10, 4), 8u);
  function.write_config(0x10, 4, 0xfd000000);
  function.write_config(0x18, 4, 0xfebf0000);
  function.write_config(0x30, 4, 0xfebe0001);
  function.write_config(4, 2, 3);
  memory.write(PhysicalAddress(0xfd000123), 1, 0x77);
  EXPECT_EQ(block->data()[0x123], 0x77);
  EXPECT_EQ(peek(0xfebe0000), 0x55);
  EXPECT_EQ(memory.read(PhysicalAddress(0xfebf0500), 2), 0xb0c5u);
  memory.write(PhysicalAddress(0xfebf0502), 2, 1024);
  EXPECT_EQ(vbe(1), 1024);
  memory.write(PhysicalAddress(0xfebf0402), 1, 0x67);
  EXPECT_EQ(in(0x3cc), 0x67);
  EXPECT_EQ(memory.read(PhysicalAddress(0xfebf0600), 4), 8u);
  EXPECT_EQ(memory.read(PhysicalAddress(0xfebf0000), 4), 0u);
}

TEST_F(VgaTest, StateComesBackAndTheImpossibleIsRefused) {
  set_mode(k256);
  StateArchive saved;
  vga.serialize(saved);
  vga.reset();
  StateArchive load(saved.data());
  vga.serialize(load);
  ASSERT_TRUE(load.status());
  poke(0xa0000, 0x21);
  EXPECT_EQ(pixel(render(), 0, 0), colour(0x21));

  std::vector<uint8_t> broken = saved.data();
  for (size_t i = 8; i < broken.size(); ++i) broken[i] = broken[i] == 0x63 ? 0x63 : 0xff;
  StateArchive hostile{std::span<const uint8_t>(broken)};
  vga.serialize(hostile);
  EXPECT_FALSE(hostile.status());
  (void)render();
}

}  // namespace
}  // namespace vitrine::devices
