// Throws random port traffic at all of the storage devices together: nothing that a guest does may crash,
// hang or make them allocate without bound; and saves and damages their state on the way. The seed is
// printed; to repeat a run, set VITRINE_FUZZ_SEED. To be run with the sanitizers for its full worth.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <vector>

#include "devices/ata_disk.h"
#include "devices/atapi_cdrom.h"
#include "devices/block_backend_for_test.h"
#include "devices/floppy_controller.h"
#include "devices/pci_bus.h"
#include "devices/piix3_ide.h"

namespace vitrine::devices {
namespace {

constexpr uint16_t kBusMaster = 0xc000;
constexpr uint32_t kRamSize = 1 << 20;

struct Lines : IrqSink {
  void set_irq_line(unsigned, bool) override {}
};

/// A machine's storage: floppy controller with two drives, a disk and a CD-ROM on one channel, a disk on the
/// other.
struct Machine {
  explicit Machine(memory::RamBlock& block, std::array<BlockBackendForTest, 5>& images) : ram(block) {
    memory.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, ram, 0));
    ide.channel(0).attach(0, std::make_unique<AtaDisk>(clock, images[0], AtaIdentity{"DISK", "1", "1"}));
    auto drive = std::make_unique<AtapiCdrom>(clock, AtaIdentity{"CD", "2", "1"});
    cdrom = drive.get();
    ide.channel(0).attach(1, std::move(drive));
    ide.channel(1).attach(0, std::make_unique<AtaDisk>(clock, images[1], AtaIdentity{"DISK", "3", "1"}));
    cdrom->insert(&images[2]);
    ide.map_legacy_ports(ports);
    bus.attach(ide, 1, 1);
    ports.map(0x00, 16, dma);
    ports.map(0x81, 15, dma);
    ports.map(0xc0, 32, dma);
    ports.map(0x3f0, 6, floppy);
    ports.map(0x3f7, 1, floppy);
    for (unsigned i = 0; i < 2; ++i) {
      floppy.drive(i).connect(FloppyDriveType::Inch3High1440K);
      floppy.drive(i).insert(&images[3 + i]);
    }
    ports.write(0xcf8, 4, 0x80000920);
    ports.write(0xcfc, 4, kBusMaster);
    ports.write(0xcf8, 4, 0x80000904);
    ports.write(0xcfc, 2, 5);
  }

  void serialize(StateArchive& archive) {
    dma.serialize(archive);
    floppy.serialize(archive);
    ide.serialize(archive);
  }

  memory::RamBlock& ram;
  memory::PhysicalMap memory;
  memory::PortMap ports;
  PciBus bus{ports, memory};
  ManualClock clock;
  Lines lines;
  Dma8237a dma{memory};
  FloppyController floppy{clock, dma, IrqLine(lines, 6)};
  Piix3Ide ide{IrqLine(lines, 14), IrqLine(lines, 15)};
  AtapiCdrom* cdrom = nullptr;
};

class StorageFuzz : public testing::Test {
 protected:
  StorageFuzz() {
    const char* given = std::getenv("VITRINE_FUZZ_SEED");
    const unsigned seed =
        given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 0)) : 20'260'101u;
    std::printf("VITRINE_FUZZ_SEED=%u\n", seed);
    random.seed(seed);
    images[4].read_only_image = true;
    images[0].fail_reads_at = 1000;
    images[1].fail_writes_at = 1000;
    images[1].fail_flush = true;
    images[2].fail_reads_at = 10'000;
    images[3].fail_reads_at = 5 * 512;
    images[3].fail_writes_at = 9 * 512;
  }

  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random() % limit); }
  uint8_t byte() { return static_cast<uint8_t>(random()); }

  template <typename Container>
  auto any_of(const Container& values) {
    return values[below(static_cast<uint32_t>(std::size(values)))];
  }

  uint16_t random_port() {
    static constexpr uint16_t kFirst[] = {0x1f0, 0x170, 0x3f6, 0x376, 0x3f0, 0x00, 0xc0, 0x80, kBusMaster};
    return static_cast<uint16_t>(any_of(kFirst) + below(8));
  }

  void ide_command(Machine& machine) {
    static constexpr uint8_t kOpcodes[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39,
                                           0x40, 0x42, 0x90, 0x91, 0xa0, 0xa1, 0x08, 0xc4,
                                           0xc5, 0xc6, 0xc8, 0xca, 0xe7, 0xec, 0xef};
    if (below(4) == 0) return cdrom_command(machine);
    const uint16_t base = below(2) != 0 ? 0x1f0 : 0x170;
    machine.ports.write(base + 6u, 1, below(4) == 0 ? 0xa0u | byte() : 0xe0u | below(2) << 4);
    for (uint16_t port = base + 1; port < base + 6; ++port) {
      // Small numbers reach sectors that exist, and end soon.
      machine.ports.write(port, 1, below(3) == 0 ? byte() : below(4));
    }
    const uint8_t opcode = below(8) == 0 ? byte() : any_of(kOpcodes);
    machine.ports.write(base + 7u, 1, opcode);
    if (opcode == 0xa0) packet(machine, base);
    machine.clock.advance(below(3) * 2'000);
  }

  void cdrom_command(Machine& machine) {
    if (below(8) == 0 && !machine.cdrom->loaded()) machine.cdrom->insert(&images[2]);
    machine.ports.write(0x1f6, 1, 0xb0);
    machine.ports.write(0x1f1, 1, below(2));
    machine.ports.write(0x1f5, 1, below(16));
    machine.ports.write(0x1f7, 1, 0xa0);
    packet(machine, 0x1f0);
    machine.clock.advance(below(3) * 2'000);
  }

  void packet(Machine& machine, uint16_t base) {
    static constexpr uint8_t kPackets[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x42, 0x43,
                                           0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xad, 0xb9, 0xbd, 0xbe};
    // Mostly zeros and small numbers: addresses that exist, and fields that are legal.
    const auto field = [this](unsigned at) {
      if (below(8) == 0) return byte();
      return static_cast<uint8_t>(below(at < 6 ? 6 : 2) == 0 ? below(4) : 0);
    };
    for (unsigned i = 0; i < 12; i += 2) {
      const uint8_t low = i == 0 && below(8) != 0 ? any_of(kPackets) : field(i);
      machine.ports.write(base, 2, low | static_cast<uint32_t>(i == 8 ? byte() : field(i)) << 8);
    }
  }

  void floppy_command(Machine& machine) {
    static constexpr uint8_t kOpcodes[] = {0xe6, 0xc5, 0x4d, 0x4a, 0x42, 0x46, 0x56, 0xcc, 0xc9, 0x07,
                                           0x08, 0x0f, 0x03, 0x04, 0x13, 0x0e, 0x12, 0x94, 0x14, 0xcf};
    if (below(16) == 0) machine.ports.write(0x3f2, 1, below(4) == 0 ? byte() : 0x1c);
    if (below(2) == 0) return floppy_transfer(machine);
    machine.ports.write(0x3f7, 1, below(4) == 0 ? byte() : 0);
    machine.ports.write(0x3f5, 1, below(8) == 0 ? byte() : any_of(kOpcodes));
    for (unsigned i = below(9); i > 0; --i) machine.ports.write(0x3f5, 1, below(4) == 0 ? byte() : below(3));
  }

  /// A command that a driver could have sent: mostly one that finds its sector.
  void floppy_transfer(Machine& machine) {
    static constexpr uint8_t kOpcodes[] = {0xe6, 0xe6, 0xc5, 0xc5, 0x46, 0x45, 0x4d, 0x42, 0x56, 0xec, 0xcc};
    machine.ports.write(0x3f7, 1, 0);
    // Whatever result waits is read away first.
    for (unsigned i = 0; i < 10; ++i) (void)machine.ports.read(0x3f5, 1);
    const uint8_t head = below(2);
    const uint8_t drive = below(8) == 0 ? 1 : 0;
    for (const uint32_t value : {0x07u, 0u}) machine.ports.write(0x3f5, 1, value);
    machine.clock.advance(100'000);
    for (const uint32_t value : {0x08u}) machine.ports.write(0x3f5, 1, value);
    for (unsigned i = 0; i < 2; ++i) (void)machine.ports.read(0x3f5, 1);
    if (below(2) == 0) program_dma(machine);
    const uint8_t opcode = any_of(kOpcodes);
    machine.ports.write(0x3f5, 1, opcode);
    machine.ports.write(0x3f5, 1, head << 2 | drive);
    if (opcode == 0x4d) {
      for (const uint32_t value : {2u, 1 + below(3), 0x54u, 0xf6u}) machine.ports.write(0x3f5, 1, value);
    } else {
      const uint32_t bytes[] = {0, head, 1 + below(19), 2, 18, 0x1b, 0xff};
      for (const uint32_t value : bytes) machine.ports.write(0x3f5, 1, value);
    }
    machine.clock.advance(below(2) * 100'000);
  }

  void bus_master(Machine& machine) {
    const uint16_t base = kBusMaster + (below(2) != 0 ? 8 : 0);
    machine.ports.write(base + 4u, 4, below(8) == 0 ? static_cast<uint32_t>(random()) : below(kRamSize));
    machine.ports.write(base, 1, below(4) == 0 ? 0 : 9);
  }

  void random_write(Machine& machine) {
    const uint16_t port = random_port();
    machine.ports.write(port, 1u << below(3), static_cast<uint32_t>(random()));
    // A machine whose devices are held in reset has little to say.
    if (below(16) == 0) return;
    for (const uint16_t control : {0x3f6, 0x376}) machine.ports.write(control, 1, below(2) * 2);
    machine.ports.write(0x3f2, 1, 0x1c | below(2));
  }

  void program_dma(Machine& machine) {
    static constexpr uint8_t kModes[] = {0x46, 0x4a, 0x42, 0x56, 0x6a};
    machine.ports.write(0x0b, 1, any_of(kModes));
    for (const uint16_t port : {0x04, 0x04, 0x05, 0x05, 0x81}) machine.ports.write(port, 1, byte());
    machine.ports.write(0x0a, 1, 0x02);
  }

  void data(Machine& machine) {
    const unsigned channel = below(2);
    const uint16_t port = channel == 0 ? 0x1f0 : 0x170;
    std::array<uint8_t, 4096> block{};
    const std::span<uint8_t> part = std::span(block).first(below(2048) * 2);
    const unsigned size = 1u << below(3);
    switch (below(4)) {
      case 0: (void)machine.ports.read_block(port, size, part.first(part.size() / size * size)); break;
      case 1: (void)machine.ports.write_block(port, size, part.first(part.size() / size * size)); break;
      case 2: (void)machine.ports.read(port, size); break;
      default: machine.ports.write(port, size, static_cast<uint32_t>(random())); break;
    }
  }

  void change_media(Machine& machine) {
    switch (below(4)) {
      case 0: machine.cdrom->insert(below(2) != 0 ? &images[2] : nullptr); break;
      case 1: machine.cdrom->press_eject(); break;
      default: machine.floppy.drive(below(2)).insert(below(4) != 0 ? &images[3 + below(2)] : nullptr); break;
    }
  }

  void step(Machine& machine) {
    switch (below(16)) {
      case 0:
      case 1:
      case 2: ide_command(machine); break;
      case 3:
      case 4: floppy_command(machine); break;
      case 5: bus_master(machine); break;
      case 6:
      case 7: random_write(machine); break;
      case 8: (void)machine.ports.read(random_port(), 1u << below(3)); break;
      case 9: data(machine); break;
      case 10:
        if (below(16) == 0) change_media(machine);
        break;
      case 11: program_dma(machine); break;
      default: machine.clock.advance(below(20'000)); break;
    }
  }

  std::mt19937_64 random;
  std::unique_ptr<memory::RamBlock> ram = memory::RamBlock::create("ram", kRamSize).value();
  std::array<BlockBackendForTest, 5> images = {BlockBackendForTest(200'000), BlockBackendForTest(77'777),
                                               BlockBackendForTest(300'000), BlockBackendForTest(1440 * 1024),
                                               BlockBackendForTest(360 * 1024)};
};

TEST_F(StorageFuzz, RandomTrafficDoesNoHarm) {
  Machine machine(*ram, images);
  for (unsigned i = 0; i < 200'000; ++i) {
    step(machine);
    if (i % 20'000 == 0) {
      // Memory full of plausible and implausible descriptors.
      for (uint32_t at = 0; at < kRamSize; at += 4096) ram->data()[at + below(4096)] = byte();
    }
  }
  // Whatever has happened, a reset brings every device back.
  machine.ide.reset();
  machine.bus.reset();
  machine.floppy.reset();
  EXPECT_EQ(machine.ports.read(0x1f7, 1), 0x50u);
  EXPECT_EQ(machine.ports.read(0x177, 1), 0x50u);
}

TEST_F(StorageFuzz, AnySavedStateRestoresAndNoDamagedOneDoesHarm) {
  Machine machine(*ram, images);
  for (unsigned round = 0; round < 100; ++round) {
    for (unsigned i = 0; i < 200; ++i) step(machine);
    machine.cdrom->insert(&images[2]);
    machine.floppy.drive(0).insert(&images[3]);
    machine.floppy.drive(1).insert(&images[4]);
    StateArchive saved;
    machine.serialize(saved);

    Machine copy(*ram, images);
    StateArchive loading(saved.data());
    copy.serialize(loading);
    ASSERT_TRUE(loading.status().has_value()) << loading.status().error().message();
    StateArchive again;
    copy.serialize(again);
    EXPECT_EQ(again.data(), saved.data());

    std::vector<uint8_t> damaged = saved.data();
    for (unsigned i = 1 + below(20); i > 0; --i)
      damaged[below(static_cast<uint32_t>(damaged.size()))] = byte();
    damaged.resize(damaged.size() - below(2) * below(200));
    Machine victim(*ram, images);
    StateArchive bad(damaged);
    victim.serialize(bad);
    for (unsigned i = 0; i < 200; ++i) step(victim);
  }
}

}  // namespace
}  // namespace vitrine::devices
