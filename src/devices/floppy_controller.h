// The floppy disk controller of a PC: an Intel 82077AA in PC/AT mode with two drives.
//
// Ports 3F2h-3F5h and 3F7h (3F0h and 3F1h, too, are its own but empty in this mode; 3F6h is the IDE
// channel's), byte width. DMA channel 2, IRQ 6.
//
// Documentation: Intel 82077AA data sheet, "Register Set", "Controller Phases", "Command Set/Descriptions".
// Implemented: every command of the data sheet except the scan commands; DMA and non-DMA transfers,
// multi-track, implied seeks, overlapped seeks, deleted-data marks as far as a diskette without any shows
// them, data rate checks, the disk change line, write protection. Missing: scan commands (answered as
// invalid), FM recording, sector sizes other than 512 bytes (both read as diskettes that lack such sectors,
// and cannot be formatted), tape drives beyond their register, the PS/2 and Model 30 modes. Ignored: step
// rate, head times, gap lengths, precompensation, power-down, FIFO threshold (a byte at a time in non-DMA
// mode), motor enables (a diskette turns whenever it is in), perpendicular gap settings. Without a diskette
// the chip waits for an index pulse without end; here the command ends as it does when two revolutions
// brought no address mark, so that no driver has to run into its timeout.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/dma8237a.h"
#include "devices/floppy_drive.h"
#include "devices/irq_line.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class FloppyController : public memory::PortDevice, public Serializable {
 public:
  static constexpr unsigned kDrives = 2;
  static constexpr unsigned kDmaChannel = 2;

  FloppyController(Clock& clock, Dma8237a& dma, IrqLine irq);

  /// Drive 0 (A:) or 1 (B:). Connected by whoever builds the machine, who also enters its type into the CMOS.
  [[nodiscard]] FloppyDrive& drive(unsigned number) { return drives_[number]; }
  /// Told of failures of the host's file, each only once in a row.
  void set_error_callback(std::function<void(const Error&)> callback) { report_ = std::move(callback); }

  /// The system's reset line.
  void reset();

  [[nodiscard]] std::string_view name() const override { return "floppy"; }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  void serialize(StateArchive& archive) override;

 private:
  // Drives that can be addressed; those past kDrives are never connected.
  static constexpr unsigned kAddressable = 4;

  enum class Phase : uint8_t { Reset, Idle, Command, Execution, DataIn, DataOut, Result };
  enum class Kind : uint8_t { Read, ReadDeleted, Write, WriteDeleted, ReadTrack, Verify, Format, ReadId };
  enum class ResetLine : uint8_t { Released, Held };

  struct CommandRow;
  static const CommandRow kCommands[];

  // Status bits gathered for a result phase.
  struct Outcome {
    uint8_t st0 = 0;
    uint8_t st1 = 0;
    uint8_t st2 = 0;
    [[nodiscard]] bool failed() const { return (st0 | st1 | st2) != 0; }
  };

  // The data command in progress.
  struct Transfer {
    Kind kind = Kind::Read;
    uint8_t drive = 0;
    uint8_t head = 0;  // of the drive
    uint8_t cylinder = 0, id_head = 0, sector = 0, size_code = 0;
    uint8_t last_sector = 0;  // EOT
    bool multi_track = false, mfm = false, skip = false;
    uint8_t sectors_done = 0;
    uint16_t bytes = 0;        // in the buffer, or to be collected there
    uint16_t position = 0;     // of these, moved
    uint16_t retries = 0;      // of a DMA channel that was not ready
    bool loaded = false;       // the buffer holds the sector to be sent
    uint8_t sector_count = 0;  // of FORMAT TRACK, and of VERIFY with EC
    uint8_t fill = 0;
    Outcome so_far;
  };

  FloppyDrive& selected(unsigned number) { return number < kDrives ? drives_[number] : absent_; }

  // Registers.
  void write_dor(uint8_t value);
  void write_dsr(uint8_t value);
  [[nodiscard]] uint8_t main_status() const;
  [[nodiscard]] uint8_t digital_input();
  [[nodiscard]] uint8_t read_fifo();
  void write_fifo(uint8_t value);
  void set_irq(bool level);
  void software_reset(ResetLine line);
  void reset_ended();

  // Commands: called with all of command_ collected.
  void execute();
  void finish(std::initializer_list<uint8_t> result);
  void invalid();
  void specify();
  void sense_drive_status();
  void recalibrate();
  void sense_interrupt();
  void seek();
  void relative_seek();
  void version();
  void configure();
  void dump_registers();
  void perpendicular_mode();
  void lock();
  void read_data();
  void read_deleted_data();
  void write_data();
  void write_deleted_data();
  void read_track();
  void verify();
  void format_track();
  void read_id();

  void begin_seek(unsigned drive, uint8_t st0);
  void seeks_ended();

  // Data commands (floppy_transfer.cc).
  void begin_transfer(Kind kind);
  void transfer_step();
  void step_read_id();
  void step_read();
  void step_verify();
  void step_write();
  void step_format();
  [[nodiscard]] Outcome check_medium();
  [[nodiscard]] Outcome locate(uint64_t& offset);
  [[nodiscard]] bool load_sector();
  [[nodiscard]] bool store_sector();
  enum class Moved : uint8_t { All, TerminalCount, Waiting };
  [[nodiscard]] Moved move_out();
  [[nodiscard]] Moved move_in();
  [[nodiscard]] Moved fill_buffer();
  [[nodiscard]] Moved moved(const DmaTransfer& dma);
  void advance_id();
  void sector_done(Moved how);
  void end_transfer(Outcome outcome);
  void host_failed(const Error& error);
  void go_on_after(Nanoseconds delay) { transfer_timer_.arm(clock_.now() + delay); }

  Clock& clock_;
  Dma8237a& dma_;
  IrqLine irq_;
  std::function<void(const Error&)> report_;
  std::string last_report_;
  std::array<FloppyDrive, kDrives> drives_;
  FloppyDrive absent_;
  Timer reset_timer_;
  Timer seek_timer_;
  Timer transfer_timer_;

  Phase phase_ = Phase::Idle;
  bool interrupt_ = false;
  uint8_t dor_ = 0;
  uint8_t tape_ = 0;
  uint8_t data_rate_ = 2;

  std::array<uint8_t, 9> command_{};
  uint8_t command_length_ = 0;  // bytes collected
  std::array<uint8_t, 10> result_{};
  uint8_t result_length_ = 0;
  uint8_t result_position_ = 0;

  std::array<uint8_t, 2> specify_{};
  uint8_t configuration_ = 0;
  uint8_t precompensation_track_ = 0;
  uint8_t perpendicular_ = 0;
  bool locked_ = false;
  std::array<uint8_t, kAddressable> cylinder_{};  // PCN
  uint8_t seeking_ = 0;                           // bit mask of drives
  std::array<uint8_t, kAddressable> seek_st0_{};
  uint8_t unsensed_ = 0;  // drives whose seek_st0_ awaits SENSE INTERRUPT STATUS
  uint8_t rotation_ = 0;  // which address mark READ ID meets next

  Transfer transfer_;
  std::array<uint8_t, kFloppySectorSize> buffer_{};
};

}  // namespace vitrine::devices
