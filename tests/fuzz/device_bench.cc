#include "fuzz/device_bench.h"

#include <array>

#include "base/check.h"
#include "devices/ata_disk.h"
#include "devices/atapi_cdrom.h"
#include "devices/block_backend_for_test.h"
#include "devices/coprocessor_ports.h"
#include "devices/debug_console.h"
#include "devices/debug_exit.h"
#include "devices/floppy_controller.h"
#include "devices/fw_cfg.h"
#include "devices/gsi_router.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/io_apic.h"
#include "devices/local_apic.h"
#include "devices/pci_bus.h"
#include "devices/pic8259a.h"
#include "devices/piix3.h"
#include "devices/piix3_ide.h"
#include "devices/piix4_pm.h"
#include "devices/pit8254.h"
#include "devices/post_code.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"
#include "devices/reset_control.h"
#include "devices/rtc_mc146818.h"
#include "devices/system_control_ports.h"
#include "devices/uart16550a.h"
#include "devices/vga.h"
#include "devices/vga_pci.h"
#include "devices/vga_renderer.h"
#include "devices/vga_text.h"
#include "fuzz/virtio_rows.h"
#include "machine/simple_character_backends.h"

namespace vitrine::fuzz {
namespace {

using devices::BlockBackendForTest;

void make_pit(DeviceBench& bench) {
  auto& pit = bench.own_serializable<devices::Pit8254>(bench.clock, bench.line(0));
  auto& control = bench.own_serializable<devices::SystemControlPorts>(
      bench.clock, pit, devices::SystemControlPorts::Actions{.set_a20 = [](bool) {}, .reset = [] {}});
  bench.map(0x40, 4, pit);
  bench.map(devices::SystemControlPorts::kPortB, 1, control);
  bench.map(devices::SystemControlPorts::kPort92, 1, control);
}

void make_pic(DeviceBench& bench) {
  auto& pic = bench.own_serializable<devices::PicPair>(bench.line(0));
  for (const uint16_t port : {0x20, 0xa0, 0x4d0}) bench.map(port, 2, pic);
  bench.add_event(
      [&pic](FuzzInput& input) { pic.set_irq_line(input.below(devices::PicPair::kLines), input.flag()); });
  bench.add_event([&pic](FuzzInput&) { (void)pic.acknowledge(); });
}

void make_rtc(DeviceBench& bench) {
  bench.map(0x70, 2, bench.own_serializable<devices::RtcMc146818>(bench.clock, bench.line(8), 1'700'000'000));
}

void make_uart(DeviceBench& bench) {
  auto& backend = bench.own<machine::MemoryCharacterBackend>();
  auto& uart = bench.own_serializable<devices::Uart16550a>(bench.clock, bench.line(4), &backend);
  bench.map(0x3f8, devices::Uart16550a::kPorts, uart);
  bench.add_event([&backend](FuzzInput& input) {
    const auto text = input.bytes(input.below(40));
    backend.type(std::string(text.begin(), text.end()));
    if (backend.waiting() > 4096) backend.take();
  });
  bench.add_event([&backend](FuzzInput& input) {
    // Gone for a moment: a restored serial line asks its new other end, which is there.
    for (unsigned i = input.below(3); i > 0; --i) backend.set_carrier(i % 2 == 0);
    backend.set_carrier(true);
    backend.take();
  });
}

void make_keyboard(DeviceBench& bench) {
  auto& keyboard = bench.own_serializable<devices::Ps2Keyboard>();
  auto& mouse = bench.own_serializable<devices::Ps2Mouse>();
  bench.own_serializable<devices::I8042>(
      bench.ports, devices::I8042::Lines{.keyboard = bench.line(1), .mouse = bench.line(12)},
      devices::I8042::Outputs{.reset = [] {}, .a20 = [&bench](bool open) { bench.memory.set_a20(open); }},
      &keyboard, &mouse);
  bench.add_ports(0x60, 1);
  bench.add_ports(0x64, 1);
  bench.add_event([&keyboard](FuzzInput& input) {
    keyboard.key(static_cast<devices::Key>(input.below(static_cast<uint32_t>(devices::Key::kCount))),
                 input.flag() ? devices::KeyAction::Press : devices::KeyAction::Release);
  });
  bench.add_event([&mouse](FuzzInput& input) {
    mouse.move(static_cast<int>(input.value()), static_cast<int>(input.value()),
               static_cast<int>(input.value()));
    mouse.set_button(static_cast<devices::MouseButton>(input.below(5)), input.flag());
  });
}

void make_floppy(DeviceBench& bench) {
  auto& dma = bench.own_serializable<devices::Dma8237a>(bench.memory);
  auto& image = bench.own<BlockBackendForTest>(1440 * 1024);
  auto& read_only = bench.own<BlockBackendForTest>(360 * 1024);
  image.fail_reads_at = 5 * 512;
  image.fail_writes_at = 9 * 512;
  read_only.read_only_image = true;
  auto& floppy = bench.own_serializable<devices::FloppyController>(bench.clock, dma, bench.line(6));
  for (unsigned i = 0; i < devices::FloppyController::kDrives; ++i) {
    floppy.drive(i).connect(devices::FloppyDriveType::Inch3High1440K);
  }
  floppy.drive(0).insert(&image);
  floppy.drive(1).insert(&read_only);
  bench.map(0x3f0, 6, floppy);
  bench.map(0x3f7, 1, floppy);
  bench.add_ports(0x3f4, 2);  // again: where nearly all of it happens
  bench.map(0x00, 16, dma);
  bench.map(0x81, 15, dma);
  bench.map(0xc0, 32, dma);
  bench.add_event([&floppy, &image, &read_only](FuzzInput& input) {
    floppy.drive(input.below(2)).insert(input.flag() ? &image : input.flag() ? &read_only : nullptr);
  });
}

devices::PciBus& make_bus(DeviceBench& bench) {
  auto& bus = bench.own_serializable<devices::PciBus>(bench.ports, bench.memory);
  bench.add_ports(0xcf8, 8);
  bench.add_event([&bus](FuzzInput&) { bus.reset(); });
  bench.add_event([&bench](FuzzInput& input) {  // what configuration software does
    static constexpr uint8_t kRegisters[] = {0x04, 0x10, 0x18, 0x20, 0x30, 0x3c, 0x40, 0x58, 0x80, 0xd0};
    bench.ports.write(0xcf8, 4,
                      0x80000000u | input.below(3) << 11 | input.below(4) << 8 | input.any_of(kRegisters));
    bench.ports.write(0xcfc, 4, input.value());
  });
  return bus;
}

void make_ide(DeviceBench& bench) {
  auto& disk = bench.own<BlockBackendForTest>(200'000);
  auto& other = bench.own<BlockBackendForTest>(77'777);
  auto& disc = bench.own<BlockBackendForTest>(300'000);
  disk.fail_reads_at = 1000;
  other.fail_writes_at = 1000;
  other.fail_flush = true;
  disc.fail_reads_at = 10'000;
  devices::PciBus& bus = make_bus(bench);
  auto& ide = bench.own<devices::Piix3Ide>(bench.line(14), bench.line(15));
  ide.channel(0).attach(
      0, std::make_unique<devices::AtaDisk>(bench.clock, disk, devices::AtaIdentity{"DISK", "1", "1"}));
  auto drive = std::make_unique<devices::AtapiCdrom>(bench.clock, devices::AtaIdentity{"CD", "2", "1"});
  devices::AtapiCdrom& cdrom = *drive;
  ide.channel(0).attach(1, std::move(drive));
  ide.channel(1).attach(
      0, std::make_unique<devices::AtaDisk>(bench.clock, other, devices::AtaIdentity{"DISK", "3", "1"}));
  cdrom.insert(&disc);
  ide.map_legacy_ports(bench.ports);
  bus.attach(ide, 1, 1);
  constexpr uint16_t kBusMaster = 0xc000;
  for (const auto& [reg, value] : {std::pair{0x20u, uint32_t{kBusMaster}}, std::pair{0x04u, 5u}}) {
    bench.ports.write(0xcf8, 4, 0x80000900 | reg);
    bench.ports.write(0xcfc, reg == 4 ? 2 : 4, value);
  }
  for (const uint16_t first : {0x1f0, 0x1f0, 0x170}) bench.add_ports(first, 8);
  for (const uint16_t first : {0x3f6, 0x376}) bench.add_ports(first, 1);
  bench.add_ports(kBusMaster, 16);
  bench.add_event([&bench](FuzzInput& input) {  // a packet for the CD-ROM drive
    bench.ports.write(0x1f6, 1, 0xb0);
    bench.ports.write(0x1f1, 1, input.below(2));
    bench.ports.write(0x1f5, 1, input.below(16));
    bench.ports.write(0x1f7, 1, 0xa0);
    for (unsigned i = 0; i < 6; ++i) bench.ports.write(0x1f0, 2, input.word());
  });
  bench.add_event([&bench](FuzzInput& input) {  // a command with few sectors
    static constexpr uint8_t kCommands[] = {0x20, 0x24, 0x30, 0x34, 0xc4, 0xc5,
                                            0xc6, 0xc8, 0xca, 0xec, 0xef, 0xe7};
    const uint16_t base = input.flag() ? 0x1f0 : 0x170;
    bench.ports.write(base + 6u, 1, 0xe0);
    for (uint16_t port = base + 1; port < base + 6; ++port) bench.ports.write(port, 1, input.below(4));
    bench.ports.write(base + 7u, 1, input.any_of(kCommands));
  });
  bench.add_event([&bench, &ide](FuzzInput& input) {  // REP INS and OUTS
    std::array<uint8_t, 4096> block{};
    const unsigned size = input.flag() ? 2 : 4;
    const std::span<uint8_t> part = std::span(block).first(input.below(1024) * size);
    const uint16_t port = ide.channel(input.below(2)).ports().command;
    (void)(input.flag() ? bench.ports.read_block(port, size, part)
                        : bench.ports.write_block(port, size, part));
  });
  bench.add_event([&cdrom, &disc](FuzzInput& input) {
    if (input.flag()) return cdrom.press_eject();
    cdrom.insert(input.flag() ? &disc : nullptr);
  });
}

void make_chipset(DeviceBench& bench) {
  auto& router = bench.own_serializable<devices::GsiRouter>(&bench, &bench);
  devices::PciBus& bus = make_bus(bench);
  auto legacy_rom = memory::RamBlock::create("rom", devices::I440fx::kLegacyRomSize).value();
  auto& rom = bench.own<std::unique_ptr<memory::RamBlock>>(std::move(legacy_rom));
  auto& host = bench.own<devices::I440fx>(bench.memory, *bench.ram, *rom);
  auto& isa = bench.own<devices::Piix3>(router.connect_isa());
  auto& power = bench.own<devices::Piix4Pm>(bench.clock, bench.ports, router.connect(9), [] {});
  auto& reset = bench.own_serializable<devices::ResetControl>([](devices::ResetControl::Kind) {});
  bus.attach(host, 0);
  bus.attach(isa, 1, 0);
  bus.attach(power, 1, 3);
  bus.connect_pirqs(isa.pirqs());
  bus.set_reset_control(&reset);
  bench.add_ports(0xb2, 2);
  bench.add_ports(0x600, 0x40);
  bench.add_ports(0xafe0, 4);
  bench.add_window(0xa0000, 0x60000);
  bench.add_event([&power](FuzzInput& input) {
    if (input.flag()) return power.press_power_button();
    power.raise_general_event(input.below(16));
  });
  bench.add_event([&isa](FuzzInput& input) { isa.set_irq_line(input.below(4), input.flag()); });
}

void make_vga(DeviceBench& bench) {
  devices::PciBus& bus = make_bus(bench);
  auto& video =
      bench.own<std::unique_ptr<memory::RamBlock>>(memory::RamBlock::create("video", 1 << 20).value());
  auto& rom =
      bench.own<std::unique_ptr<memory::RamBlock>>(memory::RamBlock::create("video rom", 0x10000).value());
  auto& vga = bench.own_serializable<devices::Vga>(bench.clock, bench.ports, bench.memory, *video);
  bus.attach(bench.own<devices::VgaPci>(vga, rom.get()), 2);
  bench.ports.write(0xcf8, 4, 0x80001010);
  bench.ports.write(0xcfc, 4, 0xfd000000);
  bench.ports.write(0xcf8, 4, 0x80001004);
  bench.ports.write(0xcfc, 2, 3);
  bench.add_ports(0x3b0, 0x30);
  bench.add_ports(0x1ce, 4);
  bench.add_window(0xa0000, 0x20000);
  bench.add_window(0xfd000000, 0x100000);
  bench.add_event([&bench](FuzzInput& input) {  // index and data
    static constexpr uint16_t kIndices[] = {0x3c0, 0x3c4, 0x3ce, 0x3d4, 0x1ce};
    const uint16_t port = input.any_of(kIndices);
    bench.ports.write(port, port == 0x1ce ? 2 : 1, input.below(0x20));
    bench.ports.write(port == 0x3c0 ? port : static_cast<uint16_t>(port + 1), port == 0x1ce ? 2 : 1,
                      port == 0x1ce ? input.word() : input.byte());
  });
  bench.add_event([&vga](FuzzInput& input) {
    if (input.below(8) != 0) return;  // costly
    const std::span<const uint8_t> memory(vga.video_memory().data(), vga.video_memory().size());
    (void)devices::VgaRenderer(vga.state(), memory, vga.frame()).render();
    (void)devices::read_vga_text(vga.state(), memory);
  });
}

struct Signals final : devices::ProcessorSignals, devices::ExternalInterruptSource {
  void set_intr(bool) override {}
  void raise_nmi() override {}
  void raise_smi() override {}
  void init() override {}
  void startup(uint8_t) override {}
  uint8_t acknowledge() override { return 0x20; }
};

void make_apics(DeviceBench& bench) {
  auto& bus = bench.own_serializable<devices::ApicBus>();
  auto& io = bench.own_serializable<devices::IoApic>(bus);
  auto& signals = bench.own<Signals>();
  std::array<devices::LocalApic*, 2> apics{};
  for (uint8_t i = 0; i < 2; ++i) {
    apics[i] = &bench.own_serializable<devices::LocalApic>(
        devices::LocalApic::Wiring{.clock = bench.clock,
                                   .bus = bus,
                                   .processor = signals,
                                   .pic = &signals,
                                   .time_of_tsc = [](uint64_t tsc) { return tsc; }},
        i, i == 0 ? devices::LocalApic::Role::BootProcessor : devices::LocalApic::Role::ApplicationProcessor);
    const uint64_t base = 0xfee00000 + i * uint64_t{0x1000};
    bench.memory.add(memory::Placement::mmio(PhysicalAddress(base), 0x1000, *apics[i]));
    bench.add_window(base, 0x400);
  }
  bench.memory.add(memory::Placement::mmio(PhysicalAddress(devices::IoApic::kDefaultBase), 0x1000, io));
  bench.add_window(devices::IoApic::kDefaultBase, 0x20);
  bench.add_event(
      [&io](FuzzInput& input) { io.set_irq_line(input.below(devices::IoApic::kPins), input.flag()); });
  bench.add_event([&bench](FuzzInput& input) {
    bench.memory.write(PhysicalAddress(devices::IoApic::kDefaultBase), 4, input.below(0x40));
    bench.memory.write(PhysicalAddress(devices::IoApic::kDefaultBase + 0x10), 4, input.value());
  });
  bench.add_event([apics](FuzzInput& input) {  // registers are 16 bytes apart
    devices::LocalApic& apic = *apics[input.below(2)];
    apic.write_memory(input.below(64) * 16, 4, input.value());
  });
  bench.add_event([apics](FuzzInput& input) {
    devices::LocalApic& apic = *apics[input.below(2)];
    switch (input.below(4)) {
      case 0: apic.set_irq_line(input.below(2), input.flag()); break;
      case 1: apic.set_tsc_deadline(uint64_t{input.value()} << input.below(32)); break;
      case 2:
        if (apic.pending()) (void)apic.acknowledge();
        break;
      default: apic.reset(); break;
    }
  });
}

void make_fw_cfg(DeviceBench& bench) {
  auto& fw_cfg = bench.own_serializable<devices::FwCfg>(bench.ports, bench.memory);
  fw_cfg.set_memory(DeviceBench::kRamSize, {});
  fw_cfg.set_processors(1, 1);
  fw_cfg.set_system_states();
  CHECK(fw_cfg.add_file("etc/data", std::vector<uint8_t>(5000, 7)));
  bench.add_ports(0x510, 12);
  bench.add_event([&bench](FuzzInput& input) {
    const uint64_t descriptor = input.below(DeviceBench::kRamSize);
    for (unsigned i = 0; i < 4; ++i)
      bench.memory.write(PhysicalAddress(descriptor + 4 * i), 4, input.value());
    bench.ports.write(0x514, 4, input.below(8) == 0 ? input.value() : 0);
    bench.ports.write(0x518, 4, __builtin_bswap32(static_cast<uint32_t>(descriptor)));
  });
}

void make_small_devices(DeviceBench& bench) {
  auto& backend = bench.own<machine::NullCharacterBackend>();
  bench.map(0x402, 1, bench.own<devices::DebugConsole>(&backend));
  bench.map(0x501, 2, bench.own<devices::DebugExit>([](uint32_t) {}), memory::PortWidth::Dword);
  bench.map(0x80, 1, bench.own_serializable<devices::PostCode>());
  bench.map(0xcf9, 1, bench.own_serializable<devices::ResetControl>([](devices::ResetControl::Kind) {}));
  auto& coprocessor = bench.own_serializable<devices::CoprocessorPorts>(bench.line(13), [] {});
  bench.map(0xf0, 2, coprocessor);
  bench.add_event([&coprocessor](FuzzInput& input) { coprocessor.set_ferr(input.flag()); });
}

constexpr DeviceRow kRows[] = {
    {"timer", make_pit},
    {"interrupt controllers", make_pic},
    {"clock", make_rtc},
    {"serial line", make_uart},
    {"keyboard", make_keyboard},
    {"floppy", make_floppy},
    {"IDE", make_ide},
    {"chipset", make_chipset},
    {"VGA", make_vga},
    {"APICs", make_apics},
    {"firmware configuration", make_fw_cfg},
    {"small devices", make_small_devices},
    {"virtio disk", make_virtio_block},
    {"virtio console", make_virtio_console},
    {"virtio entropy", make_virtio_entropy},
    {"virtio balloon", make_virtio_balloon},
};

}  // namespace

std::span<const DeviceRow> device_rows() {
  return kRows;
}

DeviceBench::DeviceBench(const DeviceRow& row) {
  memory.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram, 0));
  row.make(*this);
}

DeviceBench::~DeviceBench() {
  events_.clear();
  while (!owned_.empty()) owned_.pop_back();
}

void DeviceBench::step(FuzzInput& input) {
  switch (input.below(8)) {
    case 0: return advance(input);
    case 1:
    case 2:
      if (!events_.empty()) return events_[input.below(static_cast<uint32_t>(events_.size()))](input);
      return port_access(input);
    case 3:
    case 4:
      if (!windows_.empty()) return memory_access(input);
      return port_access(input);
    default: return port_access(input);
  }
}

void DeviceBench::port_access(FuzzInput& input) {
  if (port_ranges_.empty()) return memory_access(input);
  const PortRange& range = input.any_of(port_ranges_);
  const auto port = static_cast<uint16_t>(range.first + input.below(range.count));
  const uint8_t how = input.byte();
  const unsigned size = how < 0xc0 ? 1 : how < 0xe0 ? 2 : 4;
  if ((how & 3) == 0) {
    (void)ports.read(port, size);
  } else {
    ports.write(port, size, size == 1 ? input.byte() : input.value());
  }
}

void DeviceBench::memory_access(FuzzInput& input) {
  const Window& window = input.any_of(windows_);
  const uint8_t how = input.byte();
  const uint64_t offset = ((how & 8) != 0 ? input.word() : input.dword()) % window.size;
  const unsigned size = 1u << (how & 3);
  if ((how & 4) == 0) {
    (void)memory.read(PhysicalAddress(window.start + offset), size);
  } else {
    memory.write(PhysicalAddress(window.start + offset), size, uint64_t{input.value()} << (how >> 4));
  }
}

void DeviceBench::advance(FuzzInput& input) {
  const uint8_t how = input.byte();
  // Mostly as long as devices take for things; now and then a minute.
  clock.advance(how < 0xf8 ? uint64_t{input.word()} * (how & 0x3f) : uint64_t{input.dword()} * (how & 0xf));
}

void DeviceBench::serialize(StateArchive& archive) {
  for (Serializable* part : serializable_) part->serialize(archive);
}

}  // namespace vitrine::fuzz
