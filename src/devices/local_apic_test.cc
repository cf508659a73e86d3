#include "devices/local_apic.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace vitrine::devices {
namespace {

struct Processor : ProcessorSignals {
  void set_intr(bool level) override { intr = level; }
  void raise_nmi() override { ++nmis; }
  void raise_smi() override { ++smis; }
  void init() override { ++inits; }
  void startup(uint8_t vector) override { startups.push_back(vector); }
  bool intr = false;
  int nmis = 0, smis = 0, inits = 0;
  std::vector<uint8_t> startups;
};

struct FakePic : ExternalInterruptSource {
  uint8_t acknowledge() override {
    if (apic != nullptr) apic->set_irq_line(LocalApic::kLint0, false);
    return 0x68;
  }
  LocalApic* apic = nullptr;
};

struct Ended : EoiListener {
  void end_of_interrupt(uint8_t vector) override { vectors.push_back(vector); }
  std::vector<uint8_t> vectors;
};

// Register offsets as the manual lists them.
constexpr uint64_t kId = 0x20, kTpr = 0x80, kApr = 0x90, kPpr = 0xa0, kEoi = 0xb0, kLdr = 0xd0, kDfr = 0xe0,
                   kSvr = 0xf0, kIsr = 0x100, kTmr = 0x180, kIrr = 0x200, kEsr = 0x280, kIcrLow = 0x300,
                   kIcrHigh = 0x310, kLvtTimer = 0x320, kLvtLint0 = 0x350, kLvtLint1 = 0x360,
                   kLvtError = 0x370, kInitialCount = 0x380, kCurrentCount = 0x390, kDivide = 0x3e0;

class LocalApicTest : public testing::Test {
 protected:
  LocalApicTest() {
    for (unsigned i = 0; i < 3; ++i) {
      apics.push_back(std::make_unique<LocalApic>(
          LocalApic::Wiring{.clock = clock,
                            .bus = bus,
                            .processor = processors[i],
                            .pic = &pic,
                            .base_changed = [this] { ++base_changes; },
                            .time_of_tsc = {}},
          static_cast<uint8_t>(i),
          i == 0 ? LocalApic::Role::BootProcessor : LocalApic::Role::ApplicationProcessor));
    }
    bus.attach(ended);
    for (auto& one : apics) one->write_memory(kSvr, 4, 0x1ff);
    pic.apic = apics[0].get();
  }

  LocalApic& apic(unsigned i = 0) { return *apics[i]; }
  uint32_t get(uint64_t offset, unsigned i = 0) {
    return static_cast<uint32_t>(apic(i).read_memory(offset, 4));
  }
  void set(uint64_t offset, uint32_t value, unsigned i = 0) { apic(i).write_memory(offset, 4, value); }
  bool has(uint64_t vectors, uint8_t vector, unsigned i = 0) {
    return (get(vectors + 16u * (vector / 32), i) >> (vector % 32) & 1) != 0;
  }
  bool send_fixed(uint8_t vector, uint8_t destination = 0, ApicTrigger trigger = ApicTrigger::Edge) {
    return bus.deliver({.destination = destination, .trigger = trigger, .vector = vector});
  }
  void command(uint32_t low, uint8_t destination = 0, unsigned from = 0) {
    set(kIcrHigh, uint32_t{destination} << 24, from);
    set(kIcrLow, low, from);
  }

  ManualClock clock;
  ApicBus bus;
  std::array<Processor, 3> processors;
  FakePic pic;
  Ended ended;
  int base_changes = 0;
  std::vector<std::unique_ptr<LocalApic>> apics;
};

TEST_F(LocalApicTest, StateAfterReset) {
  apic().reset();
  EXPECT_EQ(get(kId), 0u);
  EXPECT_EQ(get(0x30), 0x00050014u);
  EXPECT_EQ(get(kSvr), 0xffu);
  EXPECT_EQ(get(kDfr), 0xffffffffu);
  for (uint64_t entry = kLvtTimer; entry <= kLvtError; entry += 16) EXPECT_EQ(get(entry), 0x10000u);
  EXPECT_EQ(apic().base_msr(), 0xfee00900u);
  EXPECT_EQ(apic(1).base_msr(), 0xfee00800u);
  EXPECT_EQ(get(kId, 2), 0x02000000u);
}

TEST_F(LocalApicTest, OnlyIdentificationAndVersionStayAsTheyAre) {
  for (uint64_t offset = 0; offset < 0x1000; offset += 4)
    EXPECT_EQ(apic().is_steady(offset, 4), offset == kId || offset == 0x30) << offset;
  EXPECT_FALSE(apic().is_steady(kId, 1));
}

TEST_F(LocalApicTest, DeliversByPriority) {
  EXPECT_TRUE(send_fixed(0x41));
  EXPECT_TRUE(processors[0].intr);
  EXPECT_EQ(apic().acknowledge(), 0x41);
  EXPECT_FALSE(processors[0].intr);
  EXPECT_TRUE(has(kIsr, 0x41));
  EXPECT_EQ(get(kPpr), 0x40u);
  send_fixed(0x4f);  // the same class waits
  EXPECT_FALSE(processors[0].intr);
  send_fixed(0x51);
  EXPECT_TRUE(processors[0].intr);
  EXPECT_EQ(get(kApr), 0x50u);
  EXPECT_EQ(apic().acknowledge(), 0x51);
  set(kEoi, 0);
  EXPECT_FALSE(has(kIsr, 0x51));
  EXPECT_FALSE(processors[0].intr);
  set(kEoi, 0);
  EXPECT_EQ(apic().acknowledge(), 0x4f);
  EXPECT_EQ(apic().delivered(), 3u);
  set(kEoi, 0);
  set(kEoi, 0);  // one too many
  EXPECT_TRUE(ended.vectors.empty());
}

TEST_F(LocalApicTest, TaskPriorityHoldsBack) {
  set(kTpr, 0x45);
  EXPECT_EQ(get(kPpr), 0x45u);
  send_fixed(0x4f);
  EXPECT_FALSE(apic().pending());
  set(kTpr, 0x3f);
  EXPECT_TRUE(apic().pending());
  set(kTpr, 0xf0);
  EXPECT_FALSE(processors[0].intr);
  // The processor was too late: the spurious vector, nothing in service.
  EXPECT_EQ(apic().acknowledge(), 0xff);
  EXPECT_TRUE(has(kIrr, 0x4f));
  EXPECT_FALSE(has(kIsr, 0xff));
}

TEST_F(LocalApicTest, LevelTriggeredEndsAreBroadcast) {
  send_fixed(0x61, 0, ApicTrigger::Level);
  EXPECT_TRUE(has(kTmr, 0x61));
  apic().acknowledge();
  EXPECT_TRUE(ended.vectors.empty());
  set(kEoi, 0);
  EXPECT_EQ(ended.vectors, (std::vector<uint8_t>{0x61}));
  send_fixed(0x61);
  EXPECT_FALSE(has(kTmr, 0x61));
}

TEST_F(LocalApicTest, PhysicalAndBroadcastDestinations) {
  EXPECT_TRUE(send_fixed(0x40, 1));
  EXPECT_FALSE(processors[0].intr);
  EXPECT_TRUE(processors[1].intr);
  EXPECT_FALSE(send_fixed(0x40, 9));
  EXPECT_TRUE(send_fixed(0x40, 0xff));
  for (const Processor& processor : processors) EXPECT_TRUE(processor.intr);
}

TEST_F(LocalApicTest, LogicalDestinations) {
  for (unsigned i = 0; i < 3; ++i) set(kLdr, 0x01000000u << i, i);
  EXPECT_EQ(get(kLdr, 2), 0x04000000u);
  bus.deliver({.destination = 0x06, .destination_mode = ApicDestinationMode::Logical, .vector = 0x50});
  EXPECT_FALSE(processors[0].intr);
  EXPECT_TRUE(processors[1].intr);
  EXPECT_TRUE(processors[2].intr);
  set(kDfr, 0x0fffffff);  // cluster
  set(kLdr, 0x21000000);
  EXPECT_FALSE(apic().addressed_by(0x31, ApicDestinationMode::Logical));
  EXPECT_FALSE(apic().addressed_by(0x22, ApicDestinationMode::Logical));
  EXPECT_TRUE(apic().addressed_by(0x23, ApicDestinationMode::Logical));
}

TEST_F(LocalApicTest, LowestPriorityTakesTurnsAmongEquals) {
  const ApicMessage message = {.destination = 0xff, .delivery = ApicDelivery::LowestPriority, .vector = 0x50};
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_TRUE(bus.deliver(message));
    EXPECT_TRUE(has(kIrr, 0x50, i)) << i;
    for (unsigned other = i + 1; other < 3; ++other) EXPECT_FALSE(has(kIrr, 0x50, other));
  }
  set(kTpr, 0x20, 0);
  set(kTpr, 0x10, 1);
  set(kTpr, 0x30, 2);
  bus.deliver({.destination = 0xff, .delivery = ApicDelivery::LowestPriority, .vector = 0x60});
  EXPECT_TRUE(has(kIrr, 0x60, 1));
  EXPECT_FALSE(has(kIrr, 0x60, 0));
}

TEST_F(LocalApicTest, CommandsBetweenProcessors) {
  command(0x00000045, 1);
  EXPECT_TRUE(has(kIrr, 0x45, 1));
  command(0x00000400, 1);
  EXPECT_EQ(processors[1].nmis, 1);
  command(0x00000200, 1);
  EXPECT_EQ(processors[1].smis, 1);
  set(kLvtLint0, 0x700, 1);
  command(0x0000c500, 1);  // INIT, assert
  EXPECT_EQ(processors[1].inits, 1);
  EXPECT_EQ(get(kLvtLint0, 1), 0x10000u);
  EXPECT_EQ(get(kId, 1), 0x01000000u);
  command(0x00008500, 1);  // de-assert
  EXPECT_EQ(processors[1].inits, 1);
  command(0x00000699, 1);
  EXPECT_EQ(processors[1].startups, (std::vector<uint8_t>{0x99}));
  EXPECT_EQ(get(kIcrLow) & 0x1000, 0u);
  EXPECT_EQ(get(kIcrLow), 0x699u);
  EXPECT_EQ(processors[0].inits + processors[2].inits, 0);
}

TEST_F(LocalApicTest, Shorthands) {
  command(0x00040045);
  EXPECT_TRUE(has(kIrr, 0x45, 0));
  EXPECT_FALSE(has(kIrr, 0x45, 1));
  command(0x00080046);
  for (unsigned i = 0; i < 3; ++i) EXPECT_TRUE(has(kIrr, 0x46, i));
  command(0x000c0047, 0, 1);
  EXPECT_TRUE(has(kIrr, 0x47, 0));
  EXPECT_FALSE(has(kIrr, 0x47, 1));
  EXPECT_TRUE(has(kIrr, 0x47, 2));
  command(0x000c4500);
  EXPECT_EQ(processors[0].inits, 0);
  EXPECT_EQ(processors[1].inits, 1);
  EXPECT_EQ(processors[2].inits, 1);
}

TEST_F(LocalApicTest, ErrorsAreLatchedAndInterrupt) {
  set(kLvtError, 0xfe);
  command(0x00000005, 1);
  EXPECT_EQ(get(kEsr), 0u);
  EXPECT_EQ(apic().acknowledge(), 0xfe);
  set(kEoi, 0);
  set(kEsr, 0);
  EXPECT_EQ(get(kEsr), 0x20u);
  send_fixed(0x08);
  (void)get(0x3f0);
  set(kEsr, 0);
  EXPECT_EQ(get(kEsr), 0xc0u);
  set(kEsr, 0);
  EXPECT_EQ(get(kEsr), 0u);
  set(kLvtError, 0x03);  // an illegal vector for errors must not recur
  send_fixed(0x08);
}

TEST_F(LocalApicTest, TimerInterrupts) {
  set(kDivide, 0x0b);
  set(kLvtTimer, 0x20040);
  set(kInitialCount, 1'000'000);
  clock.advance(400'000);
  EXPECT_EQ(get(kCurrentCount), 600'000u);
  EXPECT_EQ(get(kInitialCount), 1'000'000u);
  clock.advance(600'000);
  EXPECT_EQ(apic().acknowledge(), 0x40);
  clock.advance(1'000'000);
  EXPECT_TRUE(has(kIrr, 0x40));
  set(kLvtTimer, 0x30040);
  set(kEoi, 0);
  apic().acknowledge();
  clock.advance(5'000'000);
  EXPECT_FALSE(has(kIrr, 0x40));
  set(kLvtTimer, 0x40040);  // there is no TSC-deadline mode here
  EXPECT_EQ(get(kLvtTimer), 0x40u);
}

TEST_F(LocalApicTest, Lint0AsExtIntAsksThePic) {
  set(kLvtLint0, 0x700);
  apic().set_irq_line(LocalApic::kLint0, true);
  EXPECT_TRUE(processors[0].intr);
  set(kTpr, 0xff);  // priorities do not count
  EXPECT_TRUE(apic().pending());
  EXPECT_EQ(apic().acknowledge(), 0x68);
  EXPECT_FALSE(processors[0].intr);
  EXPECT_EQ(apic().delivered_external(), 1u);
  apic().set_irq_line(LocalApic::kLint0, true);
  set(kLvtLint0, 0x10700);
  EXPECT_FALSE(processors[0].intr);
}

TEST_F(LocalApicTest, ExtIntOverTheBus) {
  bus.deliver({.destination = 0, .delivery = ApicDelivery::ExtInt});
  EXPECT_TRUE(processors[0].intr);
  EXPECT_EQ(apic().acknowledge(), 0x68);
  EXPECT_FALSE(processors[0].intr);
}

TEST_F(LocalApicTest, Lint1AsNmiOnEdges) {
  apic().set_irq_line(LocalApic::kLint1, true);
  EXPECT_EQ(processors[0].nmis, 0);
  apic().set_irq_line(LocalApic::kLint1, false);
  set(kLvtLint1, 0x400);
  apic().set_irq_line(LocalApic::kLint1, true);
  apic().set_irq_line(LocalApic::kLint1, true);
  EXPECT_EQ(processors[0].nmis, 1);
}

TEST_F(LocalApicTest, LintAsFixedLevel) {
  set(kLvtLint0, 0x8045);
  apic().set_irq_line(LocalApic::kLint0, true);
  EXPECT_EQ(get(kLvtLint0), 0xc045u);
  EXPECT_EQ(apic().acknowledge(), 0x45);
  EXPECT_FALSE(processors[0].intr);
  set(kEoi, 0);
  EXPECT_TRUE(processors[0].intr);  // still high
  apic().acknowledge();
  apic().set_irq_line(LocalApic::kLint0, false);
  set(kEoi, 0);
  EXPECT_FALSE(processors[0].intr);
  EXPECT_EQ(get(kLvtLint0), 0x8045u);
}

TEST_F(LocalApicTest, SoftwareDisable) {
  set(kLvtTimer, 0x40);
  send_fixed(0x50);
  set(kSvr, 0xff);
  EXPECT_FALSE(apic().pending());
  EXPECT_TRUE(has(kIrr, 0x50));  // held
  EXPECT_EQ(get(kLvtTimer), 0x10040u);
  set(kLvtTimer, 0x40);
  EXPECT_EQ(get(kLvtTimer), 0x10040u);
  EXPECT_FALSE(send_fixed(0x60));
  bus.deliver({.destination = 0, .delivery = ApicDelivery::Nmi});
  EXPECT_EQ(processors[0].nmis, 1);
  command(0x00000045, 1);  // it can still send
  EXPECT_TRUE(processors[1].intr);
  set(kSvr, 0x1ff);
  EXPECT_EQ(apic().acknowledge(), 0x50);
}

TEST_F(LocalApicTest, GloballyDisabledTheWiresAreIntrAndNmi) {
  set(kTpr, 0x50);
  apic().set_base_msr(0xfee00000);
  EXPECT_EQ(base_changes, 1);
  EXPECT_FALSE(apic().enabled());
  EXPECT_EQ(apic().base_msr(), 0xfee00100u);
  EXPECT_FALSE(send_fixed(0x50));
  apic().set_irq_line(LocalApic::kLint0, true);
  EXPECT_TRUE(processors[0].intr);
  EXPECT_EQ(apic().acknowledge(), 0x68);
  apic().set_irq_line(LocalApic::kLint1, true);
  EXPECT_EQ(processors[0].nmis, 1);
  apic().set_base_msr(0xfed00800);
  EXPECT_EQ(apic().base(), PhysicalAddress(0xfed00000));
  EXPECT_EQ(get(kTpr), 0u);
  EXPECT_EQ(base_changes, 2);
}

TEST_F(LocalApicTest, EnabledAgainItHasItsOwnIdBack) {
  const uint32_t own = get(kId);
  set(kId, 0x07000000);
  EXPECT_EQ(get(kId), 0x07000000u);
  apic().set_base_msr(0xfee00000);
  apic().set_base_msr(0xfee00800);
  EXPECT_EQ(get(kId), own);
  EXPECT_TRUE(bus.deliver({.destination = static_cast<uint8_t>(own >> 24), .delivery = ApicDelivery::Nmi}));
  EXPECT_EQ(processors[0].nmis, 1);
}

TEST_F(LocalApicTest, VirtualWireMode) {
  apic().reset();
  apic().set_irq_line(LocalApic::kLint0, true);
  EXPECT_FALSE(processors[0].intr);
  apic().enter_virtual_wire_mode();
  EXPECT_TRUE(processors[0].intr);
  EXPECT_EQ(get(kSvr), 0x1ffu);
  EXPECT_EQ(get(kLvtLint1), 0x400u);
}

TEST_F(LocalApicTest, NarrowAndOddAccesses) {
  EXPECT_EQ(apic(2).read_memory(0x23, 1), 2u);
  EXPECT_EQ(apic().read_memory(0x24, 4), 0u);
  apic().write_memory(kTpr, 1, 0x50);
  EXPECT_EQ(get(kTpr), 0u);
  for (uint64_t offset = 0; offset < 0x1000; ++offset) {
    for (unsigned size : {1u, 2u, 4u, 8u}) {
      (void)apic().read_memory(offset, size);
      apic().write_memory(offset, size, ~uint64_t{0});
    }
  }
}

TEST_F(LocalApicTest, SavesAndRestores) {
  set(kLvtTimer, 0x20040);
  set(kInitialCount, 1'000'000);
  send_fixed(0x50);
  StateArchive saved;
  apic().serialize(saved);
  clock.advance(10'000'000);
  apic().acknowledge();
  apic().reset();
  StateArchive loaded(saved.data());
  apic().serialize(loaded);
  ASSERT_TRUE(loaded.status().has_value());
  EXPECT_TRUE(processors[0].intr);
  EXPECT_EQ(apic().acknowledge(), 0x50);
  EXPECT_EQ(get(kLvtTimer), 0x20040u);
}

TEST_F(LocalApicTest, AnyStateCanBeLoadedWithoutHarm) {
  set(kLvtTimer, 0x20040);
  set(kInitialCount, 1'000'000);
  StateArchive saved;
  apic().serialize(saved);
  for (size_t i = 0; i < saved.data().size(); ++i) {
    for (uint8_t value : {0x00, 0x04, 0x7f, 0xff}) {
      std::vector<uint8_t> damaged = saved.data();
      damaged[i] = value;
      StateArchive archive(damaged);
      apic().serialize(archive);
      (void)get(kCurrentCount);
      apic().acknowledge();
      set(kEoi, 0);
      set(kSvr, 0x1ff);
      set(kLvtTimer, get(kLvtTimer) & ~0x10000u);
      clock.advance(1'000'000);
    }
  }
}

}  // namespace
}  // namespace vitrine::devices
