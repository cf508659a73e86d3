// The interrupt controllers wired together as in a PC: 8259A pair → LINT0, I/O APIC → bus → local APIC →
// processor.
#include <gtest/gtest.h>

#include "devices/io_apic.h"
#include "devices/local_apic.h"
#include "devices/pic8259a.h"
#include "devices/pit8254.h"

namespace vitrine::devices {
namespace {

struct Processor : ProcessorSignals {
  void set_intr(bool level) override { intr = level; }
  void raise_nmi() override {}
  void raise_smi() override {}
  void init() override {}
  void startup(uint8_t /*vector*/) override {}
  bool intr = false;
};

class InterruptPathTest : public testing::Test {
 protected:
  InterruptPathTest() {
    pic.connect(IrqLine(apic, LocalApic::kLint0));
    for (const auto& [port, value] : {std::pair{0x20, 0x11},
                                      {0x21, 0x20},
                                      {0x21, 4},
                                      {0x21, 1},
                                      {0xa0, 0x11},
                                      {0xa1, 0x28},
                                      {0xa1, 2},
                                      {0xa1, 1}}) {
      pic.write_port(static_cast<uint16_t>(port), 1, static_cast<uint32_t>(value));
    }
  }
  void route(unsigned pin, uint32_t low) {
    io_apic.write_memory(0, 4, 0x10 + 2 * pin);
    io_apic.write_memory(0x10, 4, low);
  }

  ManualClock clock;
  ApicBus bus;
  Processor processor;
  PicPair pic;
  LocalApic apic{{.clock = clock,
                  .bus = bus,
                  .processor = processor,
                  .pic = &pic,
                  .base_changed = {},
                  .time_of_tsc = {}},
                 0,
                 LocalApic::Role::BootProcessor};
  IoApic io_apic{bus};
};

TEST_F(InterruptPathTest, TheTimerThroughTheVirtualWire) {
  Pit8254 pit(clock, IrqLine(pic, 0));
  pit.write_port(0x43, 1, 0x34);
  pit.write_port(0x40, 1, 0x9c);
  pit.write_port(0x40, 1, 0x2e);  // 11932: a hundredth of a second
  pic.reset();
  pic.write_port(0x20, 1, 0x13);
  pic.write_port(0x21, 1, 0x20);
  pic.write_port(0x21, 1, 0x01);
  apic.enter_virtual_wire_mode();
  int ticks = 0;
  for (int i = 0; i < 100; ++i) {
    clock.advance(10'100'000);
    if (!processor.intr) continue;
    EXPECT_EQ(apic.acknowledge(), 0x20);
    EXPECT_FALSE(processor.intr);
    pic.write_port(0x20, 1, 0x20);
    ++ticks;
  }
  EXPECT_EQ(ticks, 100);
}

TEST_F(InterruptPathTest, WithoutAnApicTheWireIsIntr) {
  apic.set_base_msr(0);
  pic.set_irq_line(14, true);
  EXPECT_TRUE(processor.intr);
  EXPECT_EQ(apic.acknowledge(), 0x2e);
  EXPECT_FALSE(processor.intr);
}

TEST_F(InterruptPathTest, ASharedLevelInterruptComesAgainUntilItIsQuiet) {
  apic.write_memory(0xf0, 4, 0x1ff);
  route(11, 0x8051);
  io_apic.set_irq_line(11, true);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(apic.acknowledge(), 0x51);
    EXPECT_FALSE(processor.intr);
    apic.write_memory(0xb0, 4, 0);
    EXPECT_TRUE(processor.intr);
  }
  EXPECT_EQ(apic.acknowledge(), 0x51);
  io_apic.set_irq_line(11, false);
  apic.write_memory(0xb0, 4, 0);
  EXPECT_FALSE(processor.intr);
  EXPECT_EQ(io_apic.entry(11) & IoApic::kRemoteIrr, 0u);
}

TEST_F(InterruptPathTest, ThePicThroughTheIoApic) {
  apic.write_memory(0xf0, 4, 0x1ff);
  route(0, 0x0700);  // ExtINT
  pic.set_irq_line(1, true);
  EXPECT_FALSE(processor.intr);  // LINT0 is masked
  io_apic.set_irq_line(0, true);
  EXPECT_TRUE(processor.intr);
  EXPECT_EQ(apic.acknowledge(), 0x21);
  EXPECT_FALSE(processor.intr);
}

}  // namespace
}  // namespace vitrine::devices
