#include "machine/pc.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "devices/ata_disk.h"
#include "devices/atapi_cdrom.h"
#include "devices/map_priorities.h"
#include "machine/boot_setup.h"
#include "machine/drive_backend.h"
#include "machine/pc_direct_start.h"

namespace vitrine::machine {
namespace {

constexpr uint64_t kGibibyte4 = uint64_t{1} << 32;
constexpr uint64_t kBiosLimit = uint64_t{16} << 20;
// The end of a BIOS shows again below 1 MiB.
constexpr uint64_t kLegacyBiosSize = 0x20000;

// ISA interrupts. PC AT technical reference, "Interrupts".
constexpr unsigned kIrqTimer = 0;
constexpr unsigned kIrqKeyboard = 1;
constexpr unsigned kIrqFloppy = 6;
constexpr unsigned kIrqRtc = 8;
constexpr unsigned kIrqAcpi = 9;
constexpr unsigned kIrqMouse = 12;
constexpr unsigned kIrqFerr = 13;
constexpr unsigned kIrqIde[] = {14, 15};
constexpr struct {
  uint16_t port;
  unsigned irq;
} kSerial[] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

// PCI slots, as QEMU's `pc` has them.
constexpr unsigned kSlotHostBridge = 0;
constexpr unsigned kSlotPiix = 1;

}  // namespace

Pc::Pc(MachineConfig& /*config*/, PcHost host) : host_(std::move(host)) {}

Pc::~Pc() = default;

Result<std::unique_ptr<Pc>> Pc::create(MachineConfig& config, PcHost host) {
  std::unique_ptr<Pc> pc(new Pc(config, std::move(host)));
  TRY(pc->make_memory(config));
  TRY(pc->make_processors(config));
  pc->make_chipset(config);
  pc->make_isa_devices(config);
  TRY(pc->make_display(config));
  TRY(pc->make_drives(config));
  TRY(pc->make_virtio(config));
  pc->fill_cmos(config);
  TRY(pc->prepare_boot(config));
  TRY(pc->announce_memory());
  pc->reset();
  return pc;
}

Result<void> Pc::make_memory(MachineConfig& config) {
  ram_ = TRY(memory::RamBlock::create("ram", config.memory_size));
  legacy_rom_ = TRY(memory::RamBlock::create("legacy-rom", devices::I440fx::kLegacyRomSize));
  if (!config.bios.file.valid()) return {};
  bios_rom_ = TRY(load_rom(config.bios, kBiosLimit));
  memory_.add(memory::Placement::rom(PhysicalAddress(kGibibyte4 - bios_rom_->size()), bios_rom_->size(),
                                     *bios_rom_, 0, devices::kPriorityRam));
  return {};
}

Result<void> Pc::announce_memory() {
  lockstep::Lockstep* const lockstep = processors_->lockstep();
  if (lockstep == nullptr) return {};
  for (const auto* block : {&ram_, &bios_rom_, &legacy_rom_, &vga_rom_, &video_memory_}) {
    if (*block) TRY(lockstep->expect(**block));
  }
  return {};
}

// A machine without PAM registers has writable memory here, so the ROMs have to be brought back at each
// reset.
void Pc::fill_legacy_rom() {
  std::memset(legacy_rom_->data(), 0xff, legacy_rom_->size());
  if (bios_rom_) {
    const uint64_t size = std::min(bios_rom_->size(), kLegacyBiosSize);
    std::memcpy(legacy_rom_->data() + legacy_rom_->size() - size,
                bios_rom_->data() + bios_rom_->size() - size, size);
  }
  if (vga_rom_ && !pci_) std::memcpy(legacy_rom_->data(), vga_rom_->data(), vga_rom_->size());
}

Result<void> Pc::make_processors(const MachineConfig& config) {
  const Processors::Environment environment{
      .memory = memory_,
      .ports = ports_,
      .clock = host_.clock,
      .apic_bus = apic_bus_,
      .model = host_.model,
      .count = config.cpus,
      .set_ferr = [this](bool level) { coprocessor_ports_->set_ferr(level); },
      .report_difference = host_.report_difference,
      .shadow = config.shadow,
      .host = config.host,
  };
  auto made = Processors::create(environment, config.engine, config.clock.kind);
  if (!made && config.without_engine == WithoutEngine::Interpret) {
    host_.report(
        Error{"guest code is interpreted, some ten times slower, since " + made.error().message(), ""});
    made = Processors::create(environment, EngineKind::Interpret, config.clock.kind);
  }
  processors_ = TRY(std::move(made));
  pic_ = std::make_unique<devices::PicPair>(devices::IrqLine(*processors_, Processors::kIntrLine));
  processors_->connect_pic(*pic_);
  for (const uint16_t port : {0x20, 0xa0, 0x4d0}) map(port, 2, *pic_);
  if (config.type == MachineType::Pc && host_.model.has(cpu::Feature::Apic)) {
    io_apic_ = std::make_unique<devices::IoApic>(apic_bus_);
    memory_.add(memory::Placement::mmio(PhysicalAddress(devices::IoApic::kDefaultBase),
                                        devices::IoApic::kWindowSize, *io_apic_, 0, devices::kPriorityApic));
  }
  gsi_ = std::make_unique<devices::GsiRouter>(pic_.get(), io_apic_.get());
  coprocessor_ports_ = std::make_unique<devices::CoprocessorPorts>(gsi_->connect(kIrqFerr),
                                                                   [this] { processors_->set_ignne(0); });
  map(devices::CoprocessorPorts::kFirstPort, devices::CoprocessorPorts::kPorts, *coprocessor_ports_);
  return {};
}

void Pc::make_chipset(const MachineConfig& config) {
  if (config.type == MachineType::IsaPc) {
    constexpr uint64_t kBaseMemory = 0xa0000;
    constexpr uint64_t kExtended = 0x100000;
    memory_.add(memory::Placement::ram(PhysicalAddress(0), kBaseMemory, *ram_, 0));
    memory_.add(memory::Placement::ram(PhysicalAddress(devices::I440fx::kLegacyRomStart), legacy_rom_->size(),
                                       *legacy_rom_, 0));
    if (ram_->size() > kExtended) {
      memory_.add(
          memory::Placement::ram(PhysicalAddress(kExtended), ram_->size() - kExtended, *ram_, kExtended));
    }
    return;
  }
  pci_ = std::make_unique<devices::PciBus>(ports_, memory_);
  i440fx_ = std::make_unique<devices::I440fx>(memory_, *ram_, *legacy_rom_);
  pci_->attach(*i440fx_, kSlotHostBridge);
  piix3_ = std::make_unique<devices::Piix3>(gsi_->connect_isa());
  pci_->attach(*piix3_, kSlotPiix, 0);
  pci_->connect_pirqs(piix3_->pirqs());
  piix3_ide_ = std::make_unique<devices::Piix3Ide>(gsi_->connect(kIrqIde[0]), gsi_->connect(kIrqIde[1]));
  piix3_ide_->map_legacy_ports(ports_);
  pci_->attach(*piix3_ide_, kSlotPiix, 1);
  if (config.acpi) {
    piix4_pm_ =
        std::make_unique<devices::Piix4Pm>(host_.clock, ports_, gsi_->connect(kIrqAcpi), host_.power_off);
    pci_->attach(*piix4_pm_, kSlotPiix, 3);
  }
  reset_control_ =
      std::make_unique<devices::ResetControl>([this](devices::ResetControl::Kind) { host_.reset(); });
  pci_->set_reset_control(reset_control_.get());
}

void Pc::make_isa_devices(MachineConfig& config) {
  Clock& clock = host_.clock;
  pit_ = std::make_unique<devices::Pit8254>(clock, gsi_->connect(kIrqTimer));
  map(0x40, 4, *pit_);
  control_ports_ = std::make_unique<devices::SystemControlPorts>(
      clock, *pit_,
      devices::SystemControlPorts::Actions{.set_a20 = [this](bool) { update_a20(); }, .reset = host_.reset});
  map(devices::SystemControlPorts::kPortB, 1, *control_ports_);
  map(devices::SystemControlPorts::kPort92, 1, *control_ports_);
  rtc_ = std::make_unique<devices::RtcMc146818>(clock, gsi_->connect(kIrqRtc), config.rtc_start);
  map(0x70, 2, *rtc_);
  const auto set_keyboard_a20 = [this](bool open) {
    keyboard_a20_ = open;
    update_a20();
  };
  i8042_ = std::make_unique<devices::I8042>(
      ports_,
      devices::I8042::Lines{.keyboard = gsi_->connect(kIrqKeyboard), .mouse = gsi_->connect(kIrqMouse)},
      devices::I8042::Outputs{.reset = host_.reset, .a20 = set_keyboard_a20}, &keyboard_, &mouse_);

  dma_ = std::make_unique<devices::Dma8237a>(memory_);
  map(0x00, 16, *dma_);
  map(0x81, 15, *dma_);
  map(0xc0, 32, *dma_);
  floppy_ = std::make_unique<devices::FloppyController>(clock, *dma_, gsi_->connect(kIrqFloppy));
  floppy_->set_error_callback(host_.report);
  map(0x3f0, 6, *floppy_);
  map(0x3f7, 1, *floppy_);

  for (size_t i = 0; i < config.serial_ports.size() && i < std::size(kSerial); ++i) {
    if (!config.serial_ports[i]) continue;
    devices::CharacterBackend& backend = host_.characters.attach(*config.serial_ports[i]);
    if (i == 0) processors_->connect_console(&backend);
    uarts_.push_back(std::make_unique<devices::Uart16550a>(clock, gsi_->connect(kSerial[i].irq), &backend));
    map(kSerial[i].port, devices::Uart16550a::kPorts, *uarts_.back());
  }
  for (const DebugConsoleConfig& console : config.debug_consoles) {
    debug_consoles_.push_back(
        std::make_unique<devices::DebugConsole>(&host_.characters.attach(console.endpoint)));
    map(console.port, 1, *debug_consoles_.back());
  }
  if (config.debug_exit) {
    debug_exit_ = std::make_unique<devices::DebugExit>(
        [this](uint32_t status) { host_.debug_exit(static_cast<int>(status)); });
    map(config.debug_exit->port, config.debug_exit->count, *debug_exit_, memory::PortWidth::Dword);
  }
  post_code_ = std::make_unique<devices::PostCode>();
  map(devices::PostCode::kPort, 1, *post_code_);
}

Result<void> Pc::attach_drive(DriveConfig& drive) {
  Drive made;
  made.description = fmt::format("{}: {}{}{}", drive.id, drive.image.valid() ? drive.name : "(no medium)",
                                 drive.media == Media::Cdrom ? ", CD-ROM" : "",
                                 drive.writes == Writes::Refused     ? ", read-only"
                                 : drive.writes == Writes::ToOverlay ? ", snapshot"
                                                                     : "");
  const std::string serial = fmt::format("VT{:05}", drive.index + 1);
  made.backend = TRY(create_drive_backend(drive));
  devices::BlockBackend* backend = made.backend.get();
  drives_.push_back(std::move(made));

  if (drive.interface == DriveInterface::Virtio) return {};  // make_virtio()
  if (drive.interface == DriveInterface::Floppy) {
    devices::FloppyDrive& floppy = floppy_->drive(drive.index);
    floppy.connect(backend != nullptr ? devices::floppy_format(backend->size()).drive
                                      : devices::FloppyDriveType::Inch3High1440K);
    floppy.insert(backend);
    return {};
  }
  std::unique_ptr<devices::AtaDevice> device;
  if (drive.media == Media::Cdrom) {
    auto cdrom = std::make_unique<devices::AtapiCdrom>(
        host_.clock, devices::AtaIdentity{.model = "VITRINE CD-ROM", .serial = serial, .firmware = "1.0"});
    cdrom->insert(backend);
    device = std::move(cdrom);
  } else if (backend != nullptr) {
    device = std::make_unique<devices::AtaDisk>(
        host_.clock, *backend,
        devices::AtaIdentity{.model = "VITRINE HARDDISK", .serial = serial, .firmware = "1.0"});
  } else {
    return {};
  }
  device->set_error_callback(host_.report);
  channel(drive.index / 2).attach(drive.index % 2, std::move(device));
  return {};
}

Result<void> Pc::make_drives(MachineConfig& config) {
  if (!piix3_ide_) {
    constexpr devices::IdeChannel::Ports kPorts[] = {devices::IdeChannel::kPrimary,
                                                     devices::IdeChannel::kSecondary};
    for (unsigned i = 0; i < 2; ++i) {
      isa_ide_[i] = std::make_unique<devices::IdeChannel>(kPorts[i], gsi_->connect(kIrqIde[i]));
      map(kPorts[i].command, devices::IdeChannel::kCommandPorts, *isa_ide_[i], memory::PortWidth::Dword);
      map(kPorts[i].control, 1, *isa_ide_[i]);
    }
  }
  for (DriveConfig& drive : config.drives) TRY(attach_drive(drive));
  return {};
}

devices::IdeChannel& Pc::channel(unsigned index) {
  return piix3_ide_ ? piix3_ide_->channel(index) : *isa_ide_[index];
}

void Pc::update_a20() {
  memory_.set_a20(keyboard_a20_ || control_ports_->fast_a20());
}

void Pc::reset() {
  if (started_) set_boot_order(boot_order_);
  started_ = true;
  keyboard_a20_ = true;
  memory_.set_a20(true);
  if (pci_) pci_->reset();
  pic_->reset();
  if (io_apic_) io_apic_->reset();
  if (reset_control_) reset_control_->reset();
  control_ports_->reset();
  rtc_->reset();
  i8042_->reset();
  keyboard_.reset();
  mouse_.reset();
  dma_->reset();
  floppy_->reset();
  for (auto& uart : uarts_) uart->reset();
  for (unsigned i = 0; i < 2; ++i) channel(i).reset();
  if (vga_ && !vga_pci_) vga_->reset();
  fw_cfg_->reset();
  coprocessor_ports_->reset();
  fill_legacy_rom();
  processors_->reset();
  if (direct_entry_) {
    if (piix3_ide_) piix3_ide_->enable_decoding();
    start_directly(*direct_entry_, memory_, *processors_);
  }
}

Result<void> Pc::flush_disks() {
  for (Drive& drive : drives_) {
    if (drive.backend) TRY(drive.backend->flush());
  }
  return {};
}

std::string Pc::describe_drives() const {
  std::string text;
  for (const Drive& drive : drives_) text += drive.description + "\n";
  return text;
}

void Pc::serialize(StateArchive& archive) {
  archive.section("pc", 1);
  archive.bytes({ram_->data(), ram_->size()});
  processors_->serialize(archive);
  apic_bus_.serialize(archive);
  pic_->serialize(archive);
  if (io_apic_) io_apic_->serialize(archive);
  gsi_->serialize(archive);
  if (pci_) {
    pci_->serialize(archive);
    i440fx_->serialize(archive);
    piix3_->serialize(archive);
    piix3_ide_->serialize(archive);
    if (piix4_pm_) piix4_pm_->serialize(archive);
    reset_control_->serialize(archive);
  } else {
    for (auto& ide : isa_ide_) ide->serialize(archive);
  }
  pit_->serialize(archive);
  control_ports_->serialize(archive);
  rtc_->serialize(archive);
  keyboard_.serialize(archive);
  mouse_.serialize(archive);
  i8042_->serialize(archive);
  dma_->serialize(archive);
  floppy_->serialize(archive);
  for (auto& uart : uarts_) uart->serialize(archive);
  post_code_->serialize(archive);
  coprocessor_ports_->serialize(archive);
  if (vga_pci_) {
    vga_pci_->serialize(archive);
  } else if (vga_) {
    vga_->serialize(archive);
  }
  if (vga_) archive.bytes({video_memory_->data(), video_memory_->size()});
  for (auto& device : virtio_) device->serialize(archive);
  fw_cfg_->serialize(archive);
  archive.field(keyboard_a20_);
  if (archive.loading()) update_a20();
}

}  // namespace vitrine::machine
