#include "devices/ata_device.h"

#include <algorithm>
#include <cstring>

namespace vitrine::devices {

namespace {

constexpr Nanoseconds kCommandTime = 2'000;
constexpr Nanoseconds kResetTime = 20'000;

}  // namespace

AtaDevice::AtaDevice(Clock& clock)
    : buffer_(kBufferSize), clock_(clock), timer_(clock, [this] { timer_fired(); }) {}

void AtaDevice::connect(AtaChannelLink& link, unsigned position) {
  link_ = &link;
  channel_position_ = position;
  hardware_reset();
}

uint8_t AtaDevice::read_register(AtaRegister which, AtaByteHalf half) const {
  const Registers& registers = half == AtaByteHalf::Current ? registers_ : previous_;
  switch (which) {
    case AtaRegister::ErrorFeatures: return error_;
    case AtaRegister::SectorCount: return registers.sector_count;
    case AtaRegister::LbaLow: return registers.lba_low;
    case AtaRegister::LbaMid: return registers.lba_mid;
    case AtaRegister::LbaHigh: return registers.lba_high;
    case AtaRegister::Device: return device_;
    default: return status_;
  }
}

void AtaDevice::write_register(AtaRegister which, uint8_t value) {
  const auto push = [value](uint8_t& current, uint8_t& previous) {
    previous = current;
    current = value;
  };
  switch (which) {
    case AtaRegister::ErrorFeatures: push(registers_.features, previous_.features); break;
    case AtaRegister::SectorCount: push(registers_.sector_count, previous_.sector_count); break;
    case AtaRegister::LbaLow: push(registers_.lba_low, previous_.lba_low); break;
    case AtaRegister::LbaMid: push(registers_.lba_mid, previous_.lba_mid); break;
    case AtaRegister::LbaHigh: push(registers_.lba_high, previous_.lba_high); break;
    case AtaRegister::Device: device_ = static_cast<uint8_t>(value & ~AtaDeviceBits::kSelect); break;
    default: break;
  }
}

uint8_t AtaDevice::acknowledge_status() {
  if (interrupt_) {
    interrupt_ = false;
    if (link_ != nullptr) link_->interrupt_changed();
  }
  return status_;
}

void AtaDevice::write_command(uint8_t command) {
  // "Sleep": only a reset wakes the device. Of a packet device, DEVICE RESET is one.
  constexpr uint8_t kDeviceReset = 0x08;
  if (command != kDeviceReset && (busy() || sleeping_)) return;
  acknowledge_status();
  start_command(command);
}

uint32_t AtaDevice::read_data(unsigned size) {
  if (phase_ != Phase::DataIn) return ~0u;
  uint32_t value = 0;
  const unsigned step = std::max(size, 2u);
  const auto bytes = std::min<uint32_t>(step, length_ - position_);
  std::memcpy(&value, buffer_.data() + position_, bytes);
  position_ += bytes;
  if (position_ == length_) block_moved();
  return size == 1 ? value & 0xff : value;
}

void AtaDevice::write_data(unsigned size, uint32_t value) {
  if (phase_ != Phase::DataOut) return;
  const auto bytes = std::min<uint32_t>(std::max(size, 2u), length_ - position_);
  std::memcpy(buffer_.data() + position_, &value, bytes);
  position_ += bytes;
  if (position_ == length_) block_moved();
}

size_t AtaDevice::block_left(unsigned size, size_t room) const {
  if (size < 2) return 0;
  const size_t bytes = std::min<size_t>(room, length_ - position_);
  return bytes - bytes % size;
}

size_t AtaDevice::read_data_block(unsigned size, std::span<uint8_t> data) {
  if (phase_ != Phase::DataIn) return 0;
  const size_t bytes = block_left(size, data.size());
  if (bytes == 0) return 0;
  std::memcpy(data.data(), buffer_.data() + position_, bytes);
  position_ += static_cast<uint32_t>(bytes);
  if (position_ == length_) block_moved();
  return bytes;
}

size_t AtaDevice::write_data_block(unsigned size, std::span<const uint8_t> data) {
  if (phase_ != Phase::DataOut) return 0;
  const size_t bytes = block_left(size, data.size());
  if (bytes == 0) return 0;
  std::memcpy(buffer_.data() + position_, data.data(), bytes);
  position_ += static_cast<uint32_t>(bytes);
  if (position_ == length_) block_moved();
  return bytes;
}

void AtaDevice::block_moved() {
  if (phase_ == Phase::DataIn) {
    data_in_done();
  } else {
    data_out_done();
  }
}

void AtaDevice::enter_busy() {
  phase_ = Phase::Busy;
  status_ = AtaStatus::kBusy;
  timer_.arm(clock_.now() + kCommandTime);
}

void AtaDevice::begin_data_in(size_t bytes, Notify notify) {
  timer_.cancel();
  phase_ = Phase::DataIn;
  length_ = static_cast<uint32_t>(bytes);
  position_ = 0;
  status_ = kReadyStatus | AtaStatus::kDataRequest;
  if (notify == Notify::Interrupt) raise_interrupt();
}

void AtaDevice::begin_data_out(size_t bytes, Notify notify) {
  begin_data_in(bytes, Notify::Silent);
  phase_ = Phase::DataOut;
  if (notify == Notify::Interrupt) raise_interrupt();
}

void AtaDevice::wait_for_dma() {
  timer_.cancel();
  phase_ = Phase::DmaWait;
  status_ = kReadyStatus | AtaStatus::kDataRequest;
}

void AtaDevice::complete(Notify notify) {
  timer_.cancel();
  phase_ = Phase::Idle;
  status_ = kReadyStatus;
  error_ = 0;
  if (notify == Notify::Interrupt) raise_interrupt();
}

void AtaDevice::fail(uint8_t error, uint8_t status_bits) {
  complete(Notify::Silent);
  error_ = error;
  status_ = static_cast<uint8_t>(kReadyStatus | AtaStatus::kError | status_bits);
  raise_interrupt();
}

void AtaDevice::raise_interrupt() {
  interrupt_ = true;
  if (link_ != nullptr) link_->interrupt_changed();
}

void AtaDevice::set_signature(uint8_t lba_mid, uint8_t lba_high) {
  // "Signature and persistence".
  registers_ = {.features = 0, .sector_count = 1, .lba_low = 1, .lba_mid = lba_mid, .lba_high = lba_high};
  previous_ = {};
}

void AtaDevice::dma_started() {
  if (phase_ == Phase::DmaWait) enter_busy();
}

void AtaDevice::hold_reset() {
  timer_.cancel();
  phase_ = Phase::Reset;
  status_ = AtaStatus::kBusy;
  error_ = 0;
  sleeping_ = false;
  interrupt_after_reset_ = false;
  length_ = 0;
  position_ = 0;
  reset_device();
  acknowledge_status();
}

void AtaDevice::release_reset() {
  if (phase_ == Phase::Reset) timer_.arm(clock_.now() + kResetTime);
}

void AtaDevice::diagnose() {
  hold_reset();
  interrupt_after_reset_ = true;
  release_reset();
}

void AtaDevice::hardware_reset() {
  power_on();
  hold_reset();
  timer_fired();
}

void AtaDevice::timer_fired() {
  if (phase_ == Phase::Busy) return step();
  if (phase_ != Phase::Reset) return;
  timer_.cancel();
  phase_ = Phase::Idle;
  device_ = 0;
  error_ = AtaError::kDiagnosticPassed;
  status_ = status_after_reset();
  if (std::exchange(interrupt_after_reset_, false)) raise_interrupt();
}

void AtaDevice::host_failed(const Error& error) {
  std::string message = error.message();
  if (message == last_report_) return;
  last_report_ = std::move(message);
  if (report_) report_(error);
}

void AtaDevice::serialize(StateArchive& archive) {
  archive.section("ata_device", 1);
  const auto registers = [&](Registers& r) {
    archive.fields(r.features, r.sector_count, r.lba_low, r.lba_mid, r.lba_high);
  };
  registers(registers_);
  registers(previous_);
  archive.fields(device_, phase_, status_, error_, interrupt_, interrupt_after_reset_, sleeping_);
  archive.fields(length_, position_);
  const bool moving = phase_ == Phase::DataIn || phase_ == Phase::DataOut;
  if (phase_ > Phase::Reset || length_ > kBufferSize || position_ > length_ ||
      (moving && position_ == length_)) {
    archive.reject("an ATA device's buffer is not as large as its state says");
    phase_ = Phase::Idle;
    length_ = position_ = 0;
  }
  archive.bytes(std::span(buffer_).first(length_));
  archive.timer(timer_);
  serialize_device(archive);
}

}  // namespace vitrine::devices
