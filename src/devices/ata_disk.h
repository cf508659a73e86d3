// A hard disk on an ATA channel, its sectors in a BlockBackend.
//
// Documentation: ATA/ATAPI-6 (T13/1410D), "Command descriptions"; ATA-3 for CHS translation and the obsolete
// INITIALIZE DEVICE PARAMETERS, RECALIBRATE and SEEK.
// Implemented: the General and Power Management feature sets, 28- and 48-bit LBA and CHS addressing, PIO,
// MULTIPLE and DMA transfers, write cache control. A FLUSH CACHE that completes, and every write while the
// write cache is off, is durable on the host. Missing, all answered with ABRT as the standard wants and not
// announced by IDENTIFY: SMART, security, host protected area changes, queued, FUA, streaming, READ/WRITE
// BUFFER, device configuration overlay. Ignored: standby timers, look-ahead, the transfer mode's timing. A
// failure of the host becomes UNC on reads, and ABRT with device fault on writes and flushes; a write to a
// read-only image is aborted.
#pragma once

#include <cstdint>
#include <optional>

#include "devices/ata_device.h"
#include "devices/ata_identify.h"
#include "devices/block_backend.h"

namespace vitrine::devices {

class AtaDisk : public AtaDevice {
 public:
  static constexpr uint32_t kSectorSize = 512;
  /// Most sectors in one block of READ and WRITE MULTIPLE.
  static constexpr uint8_t kMaxMultiple = 16;

  struct Geometry {
    uint16_t cylinders = 0;
    uint8_t heads = 0;
    uint8_t sectors = 0;  ///< per track
  };

  /// `backend` must outlive the disk. An image that ends within a sector has that sector, too.
  AtaDisk(Clock& clock, BlockBackend& backend, AtaIdentity identity);

  [[nodiscard]] uint64_t sectors() const { return total_; }

 private:
  enum class Stage : uint8_t { Command, Failing, Reading, Writing, DmaReading, DmaWriting };
  enum class Addressing : uint8_t { Bits28, Bits48 };
  enum class Start : uint8_t { Later, AtOnce };
  struct CommandRow;
  static const CommandRow kCommands[];

  // The part of a transfer still to be done.
  struct Operation {
    uint64_t lba = 0;
    uint32_t remaining = 0;  // sectors
    uint32_t block = 1;      // sectors in a data block
    Addressing addressing = Addressing::Bits28;
    bool lba_mode = false;
  };

  void start_command(uint8_t command) override;
  void step() override;
  void data_in_done() override;
  void data_out_done() override;
  void reset_device() override;
  void power_on() override;
  [[nodiscard]] uint8_t status_after_reset() const override { return kReadyStatus; }
  void serialize_device(StateArchive& archive) override;

  // Commands.
  void abort() { fail(AtaError::kAborted); }
  void read_sectors();
  void read_sectors_ext();
  void read_multiple();
  void read_multiple_ext();
  void write_sectors();
  void write_sectors_ext();
  void write_multiple();
  void write_multiple_ext();
  void verify_sectors();
  void verify_sectors_ext();
  void read_dma();
  void read_dma_ext();
  void write_dma();
  void write_dma_ext();
  void seek();
  void recalibrate();
  void flush_cache();
  void set_multiple_mode();
  void initialize_device_parameters();
  void set_features();
  void read_native_max();
  void read_native_max_ext();
  void check_power_mode();
  void active();
  void standby();
  void sleep();
  void identify();

  // Addresses.
  [[nodiscard]] Operation requested(Addressing addressing) const;
  [[nodiscard]] std::optional<uint64_t> requested_lba(Addressing addressing) const;
  void show_address(const Operation& operation, uint64_t lba);
  [[nodiscard]] bool begin(Addressing addressing);

  // Transfers (ata_disk_transfer.cc).
  void begin_pio_read(Addressing addressing, uint32_t block);
  void begin_pio_write(Addressing addressing, uint32_t block);
  void begin_verify(Addressing addressing);
  void begin_dma(Addressing addressing, Stage stage);
  void fail_later(uint8_t error);
  void read_block();
  void write_block();
  void dma_read();
  void dma_write();
  [[nodiscard]] bool read_from_backend(uint32_t count);
  [[nodiscard]] bool write_to_backend(uint32_t count);
  [[nodiscard]] bool flush_backend();
  void finish_write();
  void advance(uint32_t count);
  void transfer_failed(uint64_t lba, uint8_t error, uint8_t status_bits);

  BlockBackend& backend_;
  AtaIdentity identity_;
  uint64_t total_ = 0;
  Geometry default_geometry_;

  Geometry geometry_;
  AtaTransferModes modes_;
  uint8_t command_ = 0;
  uint8_t failure_ = 0;  // error register of Stage::Failing
  uint8_t multiple_ = 0;
  bool write_cache_ = true;
  bool look_ahead_ = true;
  bool standby_ = false;
  Stage stage_ = Stage::Command;
  Operation operation_;
};

}  // namespace vitrine::devices
