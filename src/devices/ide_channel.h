// One ATA channel of a PC with its two device positions: which registers go to whom, the interrupt line,
// resets.
//
// Ports: eight of the command block, mapped with PortWidth::Dword (the data register takes 16- and 32-bit
// accesses), and one of the control block, byte width: 1F0h-1F7h with 3F6h (IRQ 14), 170h-177h with 376h (IRQ
// 15).
//
// Documentation: ATA/ATAPI-6 (T13/1410D), "Interface register definitions and descriptions", "Single device
// configurations", "Software reset protocol".
// Implemented: both blocks, device selection, nIEN, SRST, HOB, EXECUTE DEVICE DIAGNOSTIC. An absent device
// reads as zeros: nothing drives the bus and the lines are pulled down. Missing: overlapped and queued
// commands, the obsolete drive address register (3F7h belongs to the floppy controller). Ignored: register
// writes while the selected device is busy, where the standard leaves the effect open.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/state_archive.h"
#include "devices/ata_device.h"
#include "devices/irq_line.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class IdeChannel : public memory::PortDevice, public Serializable, private AtaChannelLink {
 public:
  struct Ports {
    uint16_t command;
    uint16_t control;
  };
  static constexpr unsigned kCommandPorts = 8;
  static constexpr Ports kPrimary{.command = 0x1f0, .control = 0x3f6};
  static constexpr Ports kSecondary{.command = 0x170, .control = 0x376};

  IdeChannel(Ports ports, IrqLine irq) : ports_(ports), irq_(irq) {}

  /// Puts a device at position 0 (master) or 1 (slave), before the machine runs.
  void attach(unsigned position, std::unique_ptr<AtaDevice> device);
  [[nodiscard]] AtaDevice* device(unsigned position) { return devices_[position].get(); }
  /// The bus master that serves this channel; must outlive it.
  void set_dma_engine(AtaDmaEngine* engine) { engine_ = engine; }

  [[nodiscard]] Ports ports() const { return ports_; }
  /// The system's reset line.
  void reset();
  /// Called by the bus master when the guest starts it.
  void dma_started();

  [[nodiscard]] std::string_view name() const override {
    return ports_.command == kPrimary.command ? "ide-primary" : "ide-secondary";
  }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;

  /// The data port: up to the end of the current data block.
  [[nodiscard]] size_t read_port_block(uint16_t port, unsigned size, std::span<uint8_t> data) override;
  [[nodiscard]] size_t write_port_block(uint16_t port, unsigned size, std::span<const uint8_t> data) override;

  void serialize(StateArchive& archive) override;

 private:
  [[nodiscard]] AtaDevice* selected() { return devices_[selected_].get(); }
  [[nodiscard]] uint8_t read_register(AtaRegister which);
  void write_register(AtaRegister which, uint8_t value);
  void write_command(uint8_t command);
  void write_control(uint8_t value);

  void interrupt_changed() override;
  [[nodiscard]] AtaDmaEngine* dma_engine() override { return engine_; }

  Ports ports_;
  IrqLine irq_;
  std::array<std::unique_ptr<AtaDevice>, 2> devices_;
  AtaDmaEngine* engine_ = nullptr;
  uint8_t selected_ = 0;
  uint8_t control_ = 0;
  bool level_ = false;  // of the interrupt line
};

}  // namespace vitrine::devices
