#include "devices/floppy_controller.h"

#include <algorithm>

namespace vitrine::devices {

namespace {

// 82077AA data sheet, "Digital Output Register".
constexpr uint8_t kDorDriveMask = 0x03;
constexpr uint8_t kDorNotReset = 0x04;
constexpr uint8_t kDorDmaGate = 0x08;
constexpr uint8_t kDorMotor0 = 0x10;

// "Main Status Register".
constexpr uint8_t kMsrCommandBusy = 0x10;
constexpr uint8_t kMsrNonDma = 0x20;
constexpr uint8_t kMsrToHost = 0x40;
constexpr uint8_t kMsrRequest = 0x80;

constexpr uint8_t kDsrReset = 0x80;
constexpr uint8_t kDataRateMask = 0x03;
constexpr uint8_t kRate250 = 2;

// "Status Register 0", "Status Register 3".
constexpr uint8_t kSt0Abnormal = 0x40;
constexpr uint8_t kSt0Invalid = 0x80;
constexpr uint8_t kSt0Polled = 0xc0;
constexpr uint8_t kSt0SeekEnd = 0x20;
constexpr uint8_t kSt0EquipmentCheck = 0x10;
constexpr uint8_t kSt3WriteProtected = 0x40;
constexpr uint8_t kSt3Track0 = 0x10;
constexpr uint8_t kSt3AlwaysSet = 0x28;

constexpr uint8_t kConfigureFifoOff = 0x20;
constexpr uint8_t kConfigureFifoBits = 0x2f;
constexpr uint8_t kSpecifyNonDma = 0x01;
constexpr uint8_t kPerpendicularOverwrite = 0x80;

constexpr int kRecalibrateSteps = 79;

// Short against the real ones, long enough for a driver to be waiting when the interrupt comes.
constexpr Nanoseconds kResetTime = 10'000;
constexpr Nanoseconds kSeekTime = 50'000;

}  // namespace

struct FloppyController::CommandRow {
  uint8_t mask;
  uint8_t opcode;
  uint8_t length;  // with the opcode
  void (FloppyController::*run)();
};

// 82077AA data sheet, "Command Set": the bits outside the masks are MT, MFM, SK, and DIR. The last row takes
// the rest.
const FloppyController::CommandRow FloppyController::kCommands[] = {
    {0x1f, 0x06, 9, &FloppyController::read_data},
    {0x1f, 0x0c, 9, &FloppyController::read_deleted_data},
    {0x3f, 0x05, 9, &FloppyController::write_data},
    {0x3f, 0x09, 9, &FloppyController::write_deleted_data},
    {0x9f, 0x02, 9, &FloppyController::read_track},
    {0x1f, 0x16, 9, &FloppyController::verify},
    {0xbf, 0x0d, 6, &FloppyController::format_track},
    {0xbf, 0x0a, 2, &FloppyController::read_id},
    {0xff, 0x07, 2, &FloppyController::recalibrate},
    {0xff, 0x08, 1, &FloppyController::sense_interrupt},
    {0xff, 0x03, 3, &FloppyController::specify},
    {0xff, 0x04, 2, &FloppyController::sense_drive_status},
    {0xff, 0x0f, 3, &FloppyController::seek},
    {0xbf, 0x8f, 3, &FloppyController::relative_seek},
    {0xff, 0x10, 1, &FloppyController::version},
    {0xff, 0x13, 4, &FloppyController::configure},
    {0xff, 0x0e, 1, &FloppyController::dump_registers},
    {0xff, 0x12, 2, &FloppyController::perpendicular_mode},
    {0x7f, 0x14, 1, &FloppyController::lock},
    {0x00, 0x00, 1, &FloppyController::invalid},
};

FloppyController::FloppyController(Clock& clock, Dma8237a& dma, IrqLine irq)
    : clock_(clock),
      dma_(dma),
      irq_(irq),
      reset_timer_(clock, [this] { reset_ended(); }),
      seek_timer_(clock, [this] { seeks_ended(); }),
      transfer_timer_(clock, [this] { transfer_step(); }) {
  reset();
}

void FloppyController::reset() {
  locked_ = false;
  dor_ = 0;
  tape_ = 0;
  data_rate_ = kRate250;
  specify_ = {};
  perpendicular_ = 0;
  cylinder_ = {};
  software_reset(ResetLine::Held);
}

void FloppyController::software_reset(ResetLine line) {
  seek_timer_.cancel();
  transfer_timer_.cancel();
  phase_ = Phase::Reset;
  command_length_ = 0;
  seeking_ = 0;
  unsensed_ = 0;
  transfer_ = {};
  // 82077AA data sheet, "Lock": a locked chip keeps its FIFO parameters over a reset from the host's
  // registers.
  const uint8_t fifo = locked_ ? configuration_ & kConfigureFifoBits : kConfigureFifoOff;
  configuration_ = fifo;
  if (!locked_) precompensation_track_ = 0;
  set_irq(false);
  if (line == ResetLine::Held) {
    reset_timer_.cancel();
  } else {
    reset_timer_.arm(clock_.now() + kResetTime);
  }
}

void FloppyController::reset_ended() {
  phase_ = Phase::Idle;
  // "Reset": polling finds that the ready state of all four drives has changed, and each is sensed once.
  for (unsigned i = 0; i < kAddressable; ++i) seek_st0_[i] = static_cast<uint8_t>(kSt0Polled | i);
  unsensed_ = 0xf;
  set_irq(true);
}

void FloppyController::set_irq(bool level) {
  interrupt_ = level;
  irq_.set(interrupt_ && (dor_ & kDorDmaGate) != 0);
}

uint32_t FloppyController::read_port(uint16_t port, unsigned /*size*/) {
  switch (port & 7) {
    case 2: return dor_;
    case 3: return 0xfcu | tape_;
    case 4: return main_status();
    case 5: return read_fifo();
    case 7: return digital_input();
    default: return 0xff;  // status registers A and B do not exist in PC/AT mode
  }
}

void FloppyController::write_port(uint16_t port, unsigned /*size*/, uint32_t value) {
  const auto byte = static_cast<uint8_t>(value);
  switch (port & 7) {
    case 2: write_dor(byte); break;
    case 3: tape_ = byte & 3; break;
    case 4: write_dsr(byte); break;
    case 5: write_fifo(byte); break;
    case 7: data_rate_ = byte & kDataRateMask; break;
    default: break;
  }
}

void FloppyController::write_dor(uint8_t value) {
  const uint8_t before = std::exchange(dor_, value);
  if ((value & kDorNotReset) == 0) {
    if ((before & kDorNotReset) != 0) software_reset(ResetLine::Held);
  } else if ((before & kDorNotReset) == 0) {
    software_reset(ResetLine::Released);
  }
  set_irq(interrupt_);
}

void FloppyController::write_dsr(uint8_t value) {
  data_rate_ = value & kDataRateMask;
  if ((value & kDsrReset) == 0) return;
  software_reset((dor_ & kDorNotReset) != 0 ? ResetLine::Released : ResetLine::Held);
}

uint8_t FloppyController::main_status() const {
  const uint8_t non_dma = (specify_[1] & kSpecifyNonDma) != 0 ? kMsrNonDma : 0;
  switch (phase_) {
    case Phase::Reset: return 0;
    case Phase::Idle: return kMsrRequest | seeking_;
    case Phase::Command: return kMsrRequest | kMsrCommandBusy | seeking_;
    case Phase::Execution: return kMsrCommandBusy | non_dma | seeking_;
    case Phase::DataIn: return kMsrRequest | kMsrToHost | kMsrNonDma | kMsrCommandBusy | seeking_;
    case Phase::DataOut: return kMsrRequest | kMsrNonDma | kMsrCommandBusy | seeking_;
    case Phase::Result: return kMsrRequest | kMsrToHost | kMsrCommandBusy | seeking_;
  }
  return 0;
}

uint8_t FloppyController::digital_input() {
  const unsigned number = dor_ & kDorDriveMask;
  // A drive drives its change line only while it is selected, which takes its motor bit.
  const bool on = (dor_ & (kDorMotor0 << number)) != 0;
  return on && selected(number).changed() ? 0x80 : 0x00;
}

uint8_t FloppyController::read_fifo() {
  if (phase_ == Phase::Result) {
    set_irq(false);
    const uint8_t value = result_[result_position_];
    if (++result_position_ == result_length_) phase_ = Phase::Idle;
    return value;
  }
  if (phase_ != Phase::DataIn) return 0;
  const uint8_t value = buffer_[transfer_.position];
  if (++transfer_.position == transfer_.bytes) {
    set_irq(false);
    sector_done(Moved::All);
  }
  return value;
}

void FloppyController::write_fifo(uint8_t value) {
  if (phase_ == Phase::DataOut) {
    buffer_[transfer_.position] = value;
    if (++transfer_.position == transfer_.bytes) {
      set_irq(false);
      phase_ = Phase::Execution;
      transfer_step();
    }
    return;
  }
  if (phase_ == Phase::Idle) {
    command_length_ = 0;
    phase_ = Phase::Command;
  }
  if (phase_ != Phase::Command) return;
  command_[command_length_++] = value;
  execute();
}

void FloppyController::execute() {
  const uint8_t opcode = command_[0];
  const CommandRow* row = std::ranges::find_if(kCommands, [opcode](const CommandRow& candidate) {
    return (opcode & candidate.mask) == candidate.opcode;
  });
  if (command_length_ < row->length) return;
  phase_ = Phase::Idle;
  (this->*row->run)();
}

void FloppyController::finish(std::initializer_list<uint8_t> result) {
  std::ranges::copy(result, result_.begin());
  result_length_ = static_cast<uint8_t>(result.size());
  result_position_ = 0;
  phase_ = Phase::Result;
}

void FloppyController::invalid() {
  finish({kSt0Invalid});
}

void FloppyController::specify() {
  specify_ = {command_[1], command_[2]};
}

void FloppyController::sense_drive_status() {
  const uint8_t unit = command_[1] & 7;
  const FloppyDrive& drive = selected(unit & 3u);
  uint8_t st3 = kSt3AlwaysSet | unit;
  if (drive.write_protected()) st3 |= kSt3WriteProtected;
  if (drive.at_track0()) st3 |= kSt3Track0;
  finish({st3});
}

void FloppyController::begin_seek(unsigned drive, uint8_t st0) {
  seek_st0_[drive] = static_cast<uint8_t>(st0 | drive);
  seeking_ |= static_cast<uint8_t>(1u << drive);
  unsensed_ &= static_cast<uint8_t>(~(1u << drive));
  seek_timer_.arm(clock_.now() + kSeekTime);
}

void FloppyController::seeks_ended() {
  unsensed_ |= seeking_;
  seeking_ = 0;
  set_irq(true);
}

void FloppyController::recalibrate() {
  const unsigned number = command_[1] & 3;
  FloppyDrive& drive = selected(number);
  drive.step(-kRecalibrateSteps);
  cylinder_[number] = 0;
  const bool found = drive.at_track0();
  begin_seek(number, found ? kSt0SeekEnd : kSt0SeekEnd | kSt0Abnormal | kSt0EquipmentCheck);
}

void FloppyController::seek() {
  const unsigned number = command_[1] & 3;
  selected(number).step(int{command_[2]} - int{cylinder_[number]});
  cylinder_[number] = command_[2];
  begin_seek(number, kSt0SeekEnd | (command_[1] & 4));
}

void FloppyController::relative_seek() {
  const unsigned number = command_[1] & 3;
  const bool inwards = (command_[0] & 0x40) != 0;
  const int steps = inwards ? command_[2] : -int{command_[2]};
  selected(number).step(steps);
  cylinder_[number] = static_cast<uint8_t>(cylinder_[number] + steps);
  begin_seek(number, kSt0SeekEnd | (command_[1] & 4));
}

void FloppyController::sense_interrupt() {
  if (unsensed_ == 0) return invalid();
  const auto number = static_cast<unsigned>(std::countr_zero(unsensed_));
  unsensed_ &= static_cast<uint8_t>(unsensed_ - 1);
  set_irq(false);
  finish({seek_st0_[number], cylinder_[number]});
}

void FloppyController::version() {
  finish({0x90});
}

void FloppyController::configure() {
  configuration_ = command_[2] & 0x7f;
  precompensation_track_ = command_[3];
}

void FloppyController::dump_registers() {
  finish({cylinder_[0], cylinder_[1], cylinder_[2], cylinder_[3], specify_[0], specify_[1],
          transfer_.last_sector, static_cast<uint8_t>((locked_ ? 0x80 : 0) | perpendicular_), configuration_,
          precompensation_track_});
}

void FloppyController::perpendicular_mode() {
  const uint8_t drives =
      (command_[1] & kPerpendicularOverwrite) != 0 ? command_[1] & 0x3c : perpendicular_ & 0x3c;
  perpendicular_ = static_cast<uint8_t>(drives | (command_[1] & 3));
}

void FloppyController::lock() {
  locked_ = (command_[0] & 0x80) != 0;
  finish({static_cast<uint8_t>(locked_ ? 0x10 : 0)});
}

void FloppyController::read_data() {
  begin_transfer(Kind::Read);
}
void FloppyController::read_deleted_data() {
  begin_transfer(Kind::ReadDeleted);
}
void FloppyController::write_data() {
  begin_transfer(Kind::Write);
}
void FloppyController::write_deleted_data() {
  begin_transfer(Kind::WriteDeleted);
}
void FloppyController::read_track() {
  begin_transfer(Kind::ReadTrack);
}
void FloppyController::verify() {
  begin_transfer(Kind::Verify);
}
void FloppyController::format_track() {
  begin_transfer(Kind::Format);
}
void FloppyController::read_id() {
  begin_transfer(Kind::ReadId);
}

void FloppyController::serialize(StateArchive& archive) {
  archive.section("floppy_controller", 1);
  archive.fields(phase_, interrupt_, dor_, tape_, data_rate_, command_, command_length_);
  archive.fields(result_, result_length_, result_position_, specify_, configuration_, precompensation_track_);
  archive.fields(perpendicular_, locked_, cylinder_, seeking_, seek_st0_, unsensed_, rotation_);
  Transfer& t = transfer_;
  archive.fields(t.kind, t.drive, t.head, t.cylinder, t.id_head, t.sector, t.size_code, t.last_sector);
  archive.fields(t.multi_track, t.mfm, t.skip, t.sectors_done, t.bytes, t.position, t.retries, t.loaded);
  archive.fields(t.sector_count, t.fill, t.so_far.st0, t.so_far.st1, t.so_far.st2, buffer_);
  for (FloppyDrive& drive : drives_) drive.serialize(archive);
  archive.timer(reset_timer_);
  archive.timer(seek_timer_);
  archive.timer(transfer_timer_);
  const bool moving = phase_ == Phase::Execution || phase_ == Phase::DataIn || phase_ == Phase::DataOut;
  const bool possible =
      phase_ <= Phase::Result && t.kind <= Kind::ReadId && command_length_ <= command_.size() &&
      (phase_ != Phase::Command || command_length_ < command_.size()) && result_length_ <= result_.size() &&
      (phase_ != Phase::Result || result_position_ < result_length_) && t.bytes <= buffer_.size() &&
      t.position <= t.bytes && (!moving || t.position < t.bytes) && t.drive < kAddressable &&
      seeking_ <= 0xf && unsensed_ <= 0xf;
  if (possible) return;
  archive.reject("the floppy controller's state contradicts itself");
  reset();
}

}  // namespace vitrine::devices
