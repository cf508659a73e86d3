// The bus master of one IDE channel: walks the table of physical region descriptors that the guest made, and
// moves the channel's data between memory and the device.
//
//   PRD table:  ┌ address (31:1) ┐┌ EOT (63) │ byte count (47:33), 0 is 64 KiB ┐  … until EOT
//
// Eight registers: 0 command, 2 status, 4-7 descriptor table address.
//
// Documentation: Intel 82371SB (PIIX3) data sheet, "PCI Bus Master IDE I/O Registers"; "Programming Interface
// for Bus Master IDE Controller" revision 1.0. Implemented: start/stop, direction, Active, Error, Interrupt
// and the drive DMA capable bits, 32-bit table address. Missing: a region may not cross 64 KiB, says the data
// sheet, without saying what then happens: here it just does, and so does the table. Ignored: the direction
// bit. Data move the way the device's command says; where the two differ, the data sheet leaves the result
// open.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/addresses.h"
#include "base/state_archive.h"
#include "devices/ata_dma_engine.h"
#include "devices/ide_channel.h"

namespace vitrine::devices {

/// Memory as the PCI function reaches it. False: the access ended in a master abort, or the function may not
/// master.
class BusMasterMemory {
 public:
  virtual ~BusMasterMemory() = default;
  [[nodiscard]] virtual bool read(PhysicalAddress address, std::span<uint8_t> data) = 0;
  [[nodiscard]] virtual bool write(PhysicalAddress address, std::span<const uint8_t> data) = 0;
};

class BusMasterIde : public AtaDmaEngine, public Serializable {
 public:
  static constexpr unsigned kRegisters = 8;

  /// Makes itself the channel's engine.
  BusMasterIde(BusMasterMemory& memory, IdeChannel& channel);
  ~BusMasterIde() override;
  BusMasterIde(const BusMasterIde&) = delete;
  BusMasterIde& operator=(const BusMasterIde&) = delete;

  void reset();

  /// `offset` is 0-7, and the access ends within the registers.
  [[nodiscard]] uint32_t read_register(unsigned offset, unsigned size);
  void write_register(unsigned offset, unsigned size, uint32_t value);

  // AtaDmaEngine.
  [[nodiscard]] bool started() const override { return (status_ & kActive) != 0; }
  size_t to_memory(std::span<const uint8_t> data) override;
  size_t from_memory(std::span<uint8_t> data) override;
  void interrupt_changed(bool level) override;

  void serialize(StateArchive& archive) override;

 private:
  static constexpr uint8_t kStart = 0x01;
  static constexpr uint8_t kToMemory = 0x08;
  static constexpr uint8_t kActive = 0x01;
  static constexpr uint8_t kError = 0x02;
  static constexpr uint8_t kInterrupt = 0x04;
  static constexpr uint8_t kDriveCapable = 0x60;

  [[nodiscard]] uint8_t read_byte(unsigned offset) const;
  void write_byte(unsigned offset, uint8_t value);
  void write_command(uint8_t value);
  /// Moves `size` bytes region by region; `move(address, done, bytes)` says whether memory took them.
  template <typename Move>
  size_t transfer(size_t size, Move move);
  /// Makes region_ hold something, or stops. False: stopped.
  [[nodiscard]] bool fetch_region();
  void stop_with_error();

  BusMasterMemory& memory_;
  IdeChannel& channel_;
  uint8_t command_ = 0;
  uint8_t status_ = 0;
  uint32_t table_ = 0;
  uint32_t next_descriptor_ = 0;
  // The region in progress.
  uint32_t region_address_ = 0;
  uint32_t region_left_ = 0;
  bool last_region_ = false;
};

}  // namespace vitrine::devices
