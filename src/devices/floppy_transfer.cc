// The floppy controller's data commands: finding a sector, moving it by DMA or byte by byte, and the result
// phase. The registers and the other commands are in floppy_controller.cc.
#include <algorithm>

#include "devices/floppy_controller.h"

namespace vitrine::devices {

namespace {

// 82077AA data sheet, "Status Register 0" to "Status Register 2".
constexpr uint8_t kSt0Abnormal = 0x40;
constexpr uint8_t kSt1EndOfCylinder = 0x80;
constexpr uint8_t kSt1DataError = 0x20;
constexpr uint8_t kSt1Overrun = 0x10;
constexpr uint8_t kSt1NoData = 0x04;
constexpr uint8_t kSt1NotWritable = 0x02;
constexpr uint8_t kSt1MissingAddressMark = 0x01;
constexpr uint8_t kSt2ControlMark = 0x40;
constexpr uint8_t kSt2DataError = 0x20;
constexpr uint8_t kSt2WrongCylinder = 0x10;
constexpr uint8_t kSt2BadCylinder = 0x02;

constexpr uint8_t kSize512 = 2;  // the N of a sector's address mark
constexpr uint8_t kConfigureImpliedSeek = 0x40;
constexpr uint8_t kSpecifyNonDma = 0x01;
constexpr uint8_t kDorDmaGate = 0x08;

constexpr Nanoseconds kSectorTime = 10'000;
constexpr Nanoseconds kSearchTime = 400'000;
// A DMA channel that is not ready yet is asked again for as long as one revolution takes.
constexpr Nanoseconds kDmaRetryTime = 100'000;
constexpr uint16_t kDmaRetries = 2'000;

}  // namespace

void FloppyController::begin_transfer(Kind kind) {
  Transfer t;
  t.kind = kind;
  t.multi_track = (command_[0] & 0x80) != 0;
  t.mfm = (command_[0] & 0x40) != 0;
  t.skip = (command_[0] & 0x20) != 0;
  t.drive = command_[1] & 3;
  t.head = command_[1] >> 2 & 1;
  t.bytes = kFloppySectorSize;
  if (kind == Kind::Format) {
    t.size_code = command_[2];
    t.sector_count = command_[3];
    t.last_sector = command_[3];
    t.fill = command_[5];
    t.bytes = 4;  // C, H, R, N of each sector
  } else if (kind != Kind::ReadId) {
    t.cylinder = command_[2];
    t.id_head = command_[3];
    t.sector = command_[4];
    t.size_code = command_[5];
    t.last_sector = command_[6];
    // "Verify": with EC set, DTL is the number of sectors to look at.
    if (kind == Kind::Verify && (command_[1] & 0x80) != 0) t.sector_count = command_[8];
    if ((configuration_ & kConfigureImpliedSeek) != 0) {
      selected(t.drive).step(int{t.cylinder} - int{cylinder_[t.drive]});
      cylinder_[t.drive] = t.cylinder;
    }
  } else {
    t.last_sector = transfer_.last_sector;
  }
  transfer_ = t;
  phase_ = Phase::Execution;
  go_on_after(selected(t.drive).loaded() ? kSectorTime : kSearchTime);
}

void FloppyController::transfer_step() {
  if (phase_ != Phase::Execution) return;
  switch (transfer_.kind) {
    case Kind::Read:
    case Kind::ReadDeleted:
    case Kind::ReadTrack: return step_read();
    case Kind::Write:
    case Kind::WriteDeleted: return step_write();
    case Kind::Verify: return step_verify();
    case Kind::Format: return step_format();
    case Kind::ReadId: return step_read_id();
  }
}

FloppyController::Outcome FloppyController::check_medium() {
  const FloppyDrive& drive = selected(transfer_.drive);
  const Outcome nothing{kSt0Abnormal, kSt1MissingAddressMark, 0};
  if (!drive.loaded() || !transfer_.mfm) return nothing;
  const FloppyFormat& format = drive.format();
  if (data_rate_ != format.data_rate && data_rate_ != format.other_rate) return nothing;
  if (drive.track() >= format.tracks || transfer_.head >= format.heads) return nothing;
  return {};
}

FloppyController::Outcome FloppyController::locate(uint64_t& offset) {
  if (const Outcome bad = check_medium(); bad.failed()) return bad;
  const FloppyDrive& drive = selected(transfer_.drive);
  const Outcome no_data{kSt0Abnormal, kSt1NoData, 0};
  if (transfer_.cylinder != drive.track()) {
    // "Status Register 2": a track marked bad has FFh for its cylinder.
    const uint8_t bad = transfer_.cylinder == 0xff ? kSt2WrongCylinder | kSt2BadCylinder : kSt2WrongCylinder;
    return {kSt0Abnormal, kSt1NoData, bad};
  }
  if (transfer_.id_head != transfer_.head || transfer_.size_code != kSize512) return no_data;
  const auto found = drive.sector_offset(transfer_.head, transfer_.sector);
  if (!found) return no_data;
  offset = *found;
  return {};
}

// Brings the sector that the transfer has come to into the buffer. False: the command has ended.
bool FloppyController::load_sector() {
  Transfer& t = transfer_;
  if (t.loaded) return true;
  uint64_t offset = 0;
  Outcome outcome;
  if (t.kind == Kind::ReadTrack) {
    // "Read Track": sectors come as they follow the index hole; the address marks are compared, nothing more.
    outcome = check_medium();
    if (!outcome.failed()) {
      const auto found = selected(t.drive).sector_offset(t.head, static_cast<uint8_t>(t.sectors_done + 1));
      uint64_t ignored = 0;
      const Outcome compared = locate(ignored);
      t.so_far.st1 |= compared.st1;
      t.so_far.st2 |= compared.st2;
      if (!found) outcome = {kSt0Abnormal, kSt1NoData, 0};
      offset = found.value_or(0);
    }
  } else {
    outcome = locate(offset);
  }
  if (outcome.failed()) {
    end_transfer(outcome);
    return false;
  }
  if (const auto read = selected(t.drive).read(offset, buffer_); !read) {
    host_failed(read.error());
    end_transfer({kSt0Abnormal, kSt1DataError, kSt2DataError});
    return false;
  }
  t.loaded = true;
  t.position = 0;
  return true;
}

void FloppyController::step_read() {
  Transfer& t = transfer_;
  // "Read Deleted Data", data address mark encountered: skipped with SK, else read as the last one. No
  // diskette here has deleted sectors.
  if (t.kind == Kind::ReadDeleted) {
    t.so_far.st2 |= kSt2ControlMark;
    if (t.skip) {
      uint64_t offset = 0;
      if (const Outcome outcome = locate(offset); outcome.failed()) return end_transfer(outcome);
      return sector_done(Moved::All);
    }
  }
  if (!load_sector()) return;
  if ((specify_[1] & kSpecifyNonDma) != 0) {
    phase_ = Phase::DataIn;
    return set_irq(true);
  }
  const Moved how = move_out();
  if (how != Moved::Waiting) sector_done(how);
}

void FloppyController::step_verify() {
  if (!load_sector()) return;
  sector_done(Moved::All);
}

void FloppyController::step_write() {
  Transfer& t = transfer_;
  uint64_t offset = 0;
  // A full buffer is written without looking again: the diskette may have been taken out meanwhile, and
  // store_sector() notices that.
  if (t.position == 0) {
    if (const Outcome outcome = locate(offset); outcome.failed()) return end_transfer(outcome);
    if (selected(t.drive).write_protected()) return end_transfer({kSt0Abnormal, kSt1NotWritable, 0});
  }
  const Moved how = fill_buffer();
  if (how == Moved::Waiting) return;
  // "Write Data": the rest of the sector in which terminal count comes is zeros.
  std::fill(buffer_.begin() + t.position, buffer_.end(), uint8_t{0});
  if (store_sector()) sector_done(how);
}

// What the buffer lacks, from memory or asked of the guest.
FloppyController::Moved FloppyController::fill_buffer() {
  if (transfer_.position == transfer_.bytes) return Moved::All;
  if ((specify_[1] & kSpecifyNonDma) == 0) return move_in();
  phase_ = Phase::DataOut;
  set_irq(true);
  return Moved::Waiting;
}

bool FloppyController::store_sector() {
  uint64_t offset = 0;
  if (const Outcome outcome = locate(offset); outcome.failed()) {
    end_transfer(outcome);
    return false;
  }
  if (const auto written = selected(transfer_.drive).write(offset, buffer_); !written) {
    host_failed(written.error());
    end_transfer({kSt0Abnormal, kSt1DataError, 0});
    return false;
  }
  return true;
}

void FloppyController::step_format() {
  Transfer& t = transfer_;
  if (t.position == 0) {
    if (const Outcome outcome = check_medium(); outcome.failed()) return end_transfer(outcome);
    if (selected(t.drive).write_protected()) return end_transfer({kSt0Abnormal, kSt1NotWritable, 0});
  }
  const Moved how = fill_buffer();
  if (how == Moved::Waiting) return;
  if (t.position == t.bytes) {
    t.cylinder = buffer_[0];
    t.id_head = buffer_[1];
    t.sector = buffer_[2];
    if (buffer_[3] != kSize512) t.size_code = buffer_[3];
    buffer_.fill(t.fill);
    if (!store_sector()) return;
  }
  ++t.sectors_done;
  t.position = 0;
  t.retries = 0;
  // The track's end is the command's: terminal count is not waited for.
  if (t.sectors_done >= t.sector_count || how == Moved::TerminalCount) return end_transfer(t.so_far);
  phase_ = Phase::Execution;
  go_on_after(kSectorTime);
}

void FloppyController::step_read_id() {
  Transfer& t = transfer_;
  if (const Outcome outcome = check_medium(); outcome.failed()) return end_transfer(outcome);
  const FloppyDrive& drive = selected(t.drive);
  rotation_ = static_cast<uint8_t>(rotation_ % drive.format().sectors + 1);
  t.cylinder = drive.track();
  t.id_head = t.head;
  t.sector = rotation_;
  t.size_code = kSize512;
  end_transfer({});
}

FloppyController::Moved FloppyController::moved(const DmaTransfer& dma) {
  Transfer& t = transfer_;
  t.position = static_cast<uint16_t>(t.position + dma.bytes);
  if (dma.terminal_count) return Moved::TerminalCount;
  if (t.position == t.bytes) return Moved::All;
  if (++t.retries > kDmaRetries) {
    end_transfer({kSt0Abnormal, kSt1Overrun, 0});
  } else {
    go_on_after(kDmaRetryTime);
  }
  return Moved::Waiting;
}

FloppyController::Moved FloppyController::move_out() {
  // Without the DMA gate the request never leaves the chip.
  if ((dor_ & kDorDmaGate) == 0) return moved({});
  const std::span<const uint8_t> rest = std::span(buffer_).first(transfer_.bytes).subspan(transfer_.position);
  return moved(dma_.device_to_memory(kDmaChannel, rest));
}

FloppyController::Moved FloppyController::move_in() {
  if ((dor_ & kDorDmaGate) == 0) return moved({});
  const std::span<uint8_t> rest = std::span(buffer_).first(transfer_.bytes).subspan(transfer_.position);
  return moved(dma_.memory_to_device(kDmaChannel, rest));
}

// 82077AA data sheet, "Result Phase Table": the address after the last sector, which is also that of the next
// one.
void FloppyController::advance_id() {
  Transfer& t = transfer_;
  if (t.sector != t.last_sector) {
    ++t.sector;
    return;
  }
  t.sector = 1;
  if (!t.multi_track || t.kind == Kind::ReadTrack) {
    ++t.cylinder;
    return;
  }
  if (t.head != 0) ++t.cylinder;
  t.id_head ^= 1;
  t.head ^= 1;
}

void FloppyController::sector_done(Moved how) {
  Transfer& t = transfer_;
  const uint8_t command_head = t.head;
  const bool reading_track = t.kind == Kind::ReadTrack;
  const bool deleted_found = t.kind == Kind::ReadDeleted && !t.skip;
  ++t.sectors_done;
  const bool last = reading_track ? t.sectors_done >= t.last_sector : t.sector == t.last_sector;
  const bool side_follows = t.multi_track && !reading_track && t.head == 0;
  if (!deleted_found) advance_id();
  if (how == Moved::TerminalCount || deleted_found) {
    t.head = command_head;
    return end_transfer(t.so_far);
  }
  const bool verified = t.kind == Kind::Verify && t.sector_count != 0 && t.sectors_done >= t.sector_count;
  if (verified || (last && !side_follows)) {
    t.head = command_head;
    const bool implicit = t.kind == Kind::Verify && (verified || t.sector_count == 0);
    if (!implicit)
      t.so_far = {kSt0Abnormal, static_cast<uint8_t>(t.so_far.st1 | kSt1EndOfCylinder), t.so_far.st2};
    return end_transfer(t.so_far);
  }
  t.position = 0;
  t.retries = 0;
  t.loaded = false;
  phase_ = Phase::Execution;
  go_on_after(kSectorTime);
}

void FloppyController::end_transfer(Outcome outcome) {
  const Transfer& t = transfer_;
  finish({static_cast<uint8_t>(outcome.st0 | t.head << 2 | t.drive),
          static_cast<uint8_t>(outcome.st1 | t.so_far.st1), static_cast<uint8_t>(outcome.st2 | t.so_far.st2),
          t.cylinder, t.id_head, t.sector, t.size_code});
  set_irq(true);
}

void FloppyController::host_failed(const Error& error) {
  std::string message = error.message();
  if (message == last_report_) return;
  last_report_ = std::move(message);
  if (report_) report_(error);
}

}  // namespace vitrine::devices
