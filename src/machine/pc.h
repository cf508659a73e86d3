// The PC: every chip of the machine and the wires between them. i440FX with PIIX3 as QEMU's `pc`, or the same
// without PCI as `isapc`. Built in one go from a MachineConfig whose files are open already.
//
// Who tells whom (interrupts):
//
//   PIT, keyboard, UARTs, RTC, floppy, IDE ──► GsiRouter ──► PicPair ──INTR──► Processors (LINT0 of local
//   APIC 0) PCI functions ──► PciBus ──► Piix3 ──────►     │
//                                                  └───────► IoApic ──ApicBus──► local APICs
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/state_archive.h"
#include "devices/coprocessor_ports.h"
#include "devices/debug_console.h"
#include "devices/debug_exit.h"
#include "devices/dma8237a.h"
#include "devices/floppy_controller.h"
#include "devices/fw_cfg.h"
#include "devices/gsi_router.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/ide_channel.h"
#include "devices/io_apic.h"
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
#include "devices/virtio_balloon.h"
#include "devices/virtio_pci.h"
#include "firmware/direct_boot.h"
#include "machine/boot_setup.h"
#include "machine/character_devices.h"
#include "machine/machine_config.h"
#include "machine/processors.h"
#include "machine/simple_character_backends.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::machine {

/// What a PC asks of the machine around it. Calls may come in the middle of an instruction: they note, and
/// the run loop acts.
struct PcHost {
  Clock& clock;
  CharacterDevices& characters;
  const cpu::CpuModel& model;
  std::function<void()> reset;
  std::function<void()> power_off;
  std::function<void(int status)> debug_exit;
  std::function<void(const Error&)>
      report;  ///< A failure of the host that the guest sees as a failing device.
  std::function<void(const std::string&)> report_difference = nullptr;  ///< Of engines in lockstep.
};

class Pc final : public Serializable {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Pc>> create(MachineConfig& config, PcHost host);
  ~Pc() override;

  /// Power-on and RESET: every chip, then the processors.
  void reset();
  /// Makes everything written to the disks durable on the host.
  [[nodiscard]] Result<void> flush_disks();
  /// Saves and restores all chips and processors, and RAM.
  void serialize(StateArchive& archive) override;

  [[nodiscard]] Processors& processors() { return *processors_; }
  [[nodiscard]] const Processors& processors() const { return *processors_; }
  [[nodiscard]] memory::PhysicalMap& memory() { return memory_; }
  [[nodiscard]] const memory::PhysicalMap& memory() const { return memory_; }
  [[nodiscard]] memory::PortMap& ports() { return ports_; }
  [[nodiscard]] const memory::PortMap& ports() const { return ports_; }
  [[nodiscard]] devices::Ps2Keyboard& keyboard() { return keyboard_; }
  [[nodiscard]] devices::Ps2Mouse& mouse() { return mouse_; }
  /// Null without a display adapter, and without PCI.
  [[nodiscard]] devices::Vga* vga() { return vga_.get(); }
  [[nodiscard]] devices::Piix4Pm* power_management() { return piix4_pm_.get(); }
  [[nodiscard]] const devices::PicPair& pic() const { return *pic_; }
  [[nodiscard]] const devices::IoApic* io_apic() const { return io_apic_.get(); }
  [[nodiscard]] const devices::PciBus* pci() const { return pci_.get(); }
  /// Null without one.
  [[nodiscard]] devices::VirtioBalloon* balloon() { return balloon_; }
  [[nodiscard]] const memory::RamBlock& ram() const { return *ram_; }
  /// One line a drive, for `info block`.
  [[nodiscard]] std::string describe_drives() const;

 private:
  struct Drive {
    std::string description;
    std::unique_ptr<devices::BlockBackend> backend;
  };

  Pc(MachineConfig& config, PcHost host);

  // The steps of create(), in order.
  [[nodiscard]] Result<void> make_memory(MachineConfig& config);
  /// In lockstep: all memory that the guest may ever see, so that its counterpart is made before a guest
  /// runs.
  [[nodiscard]] Result<void> announce_memory();
  [[nodiscard]] Result<void> make_processors(const MachineConfig& config);
  void make_chipset(const MachineConfig& config);
  void make_isa_devices(MachineConfig& config);
  [[nodiscard]] Result<void> make_drives(MachineConfig& config);
  [[nodiscard]] Result<void> attach_drive(DriveConfig& drive);
  // pc_virtio.cc
  [[nodiscard]] Result<void> make_virtio(MachineConfig& config);
  [[nodiscard]] std::unique_ptr<devices::VirtioDevice> make_virtio_device(const VirtioConfig& config,
                                                                          unsigned number);
  // pc_boot.cc: what firmware and kernels find.
  [[nodiscard]] Result<void> make_display(const MachineConfig& config);
  void fill_cmos(const MachineConfig& config);
  void set_cmos16(unsigned index, uint64_t value);
  void set_boot_order(const std::string& order);
  [[nodiscard]] Result<void> prepare_boot(MachineConfig& config);
  void fill_legacy_rom();

  [[nodiscard]] MemorySizes memory_sizes() const;
  [[nodiscard]] devices::IdeChannel& channel(unsigned index);

  void map(uint16_t first, unsigned count, memory::PortDevice& device,
           memory::PortWidth width = memory::PortWidth::Byte) {
    ports_.map(first, count, device, width);
  }
  void update_a20();

  PcHost host_;
  memory::PhysicalMap memory_;
  memory::PortMap ports_;
  std::unique_ptr<memory::RamBlock> ram_;
  std::unique_ptr<memory::RamBlock> bios_rom_;    // as it lies below 4 GiB; null without a BIOS
  std::unique_ptr<memory::RamBlock> legacy_rom_;  // C0000–FFFFF
  std::unique_ptr<memory::RamBlock> vga_rom_;     // null without one
  std::unique_ptr<memory::RamBlock> video_memory_;

  devices::ApicBus apic_bus_;
  std::unique_ptr<Processors> processors_;
  std::unique_ptr<devices::PicPair> pic_;
  std::unique_ptr<devices::IoApic> io_apic_;
  std::unique_ptr<devices::GsiRouter> gsi_;
  std::unique_ptr<devices::PciBus> pci_;
  std::unique_ptr<devices::I440fx> i440fx_;
  std::unique_ptr<devices::Piix3> piix3_;
  std::unique_ptr<devices::Piix4Pm> piix4_pm_;

  std::unique_ptr<devices::Pit8254> pit_;
  std::unique_ptr<devices::SystemControlPorts> control_ports_;
  std::unique_ptr<devices::RtcMc146818> rtc_;
  devices::Ps2Keyboard keyboard_;
  devices::Ps2Mouse mouse_;
  std::unique_ptr<devices::I8042> i8042_;
  std::unique_ptr<devices::Dma8237a> dma_;
  std::unique_ptr<devices::FloppyController> floppy_;
  std::vector<std::unique_ptr<devices::Uart16550a>> uarts_;
  std::vector<std::unique_ptr<devices::DebugConsole>> debug_consoles_;
  std::unique_ptr<devices::DebugExit> debug_exit_;
  std::unique_ptr<devices::PostCode> post_code_;
  std::unique_ptr<devices::ResetControl> reset_control_;
  std::unique_ptr<devices::CoprocessorPorts> coprocessor_ports_;
  std::unique_ptr<devices::Vga> vga_;
  std::unique_ptr<devices::VgaPci> vga_pci_;

  std::vector<Drive> drives_;                                    // before the controllers that use them
  std::array<std::unique_ptr<devices::IdeChannel>, 2> isa_ide_;  // without PCI
  std::unique_ptr<devices::Piix3Ide> piix3_ide_;                 // with it
  devices::ApicMessageSink messages_{apic_bus_};
  NullCharacterBackend nobody_;
  std::vector<std::unique_ptr<devices::VirtioPci>> virtio_;  // in the order of their slots
  devices::VirtioBalloon* balloon_ = nullptr;                // one of them
  std::unique_ptr<devices::FwCfg> fw_cfg_;
  std::optional<firmware::DirectEntry> direct_entry_;  // -bios none
  std::string boot_order_;                             // from the first reset on

  bool started_ = false;      // the first reset is power-on
  bool keyboard_a20_ = true;  // what the keyboard controller wants; port 92h has its own say
};

}  // namespace vitrine::machine
