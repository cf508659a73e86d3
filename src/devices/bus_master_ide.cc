#include "devices/bus_master_ide.h"

#include <algorithm>
#include <array>

namespace vitrine::devices {

BusMasterIde::BusMasterIde(BusMasterMemory& memory, IdeChannel& channel)
    : memory_(memory), channel_(channel) {
  channel_.set_dma_engine(this);
}

BusMasterIde::~BusMasterIde() {
  channel_.set_dma_engine(nullptr);
}

void BusMasterIde::reset() {
  command_ = 0;
  status_ = 0;
  table_ = 0;
  region_left_ = 0;
  last_region_ = false;
}

uint8_t BusMasterIde::read_byte(unsigned offset) const {
  switch (offset) {
    case 0: return command_;
    case 2: return status_;
    case 4:
    case 5:
    case 6:
    case 7: return static_cast<uint8_t>(table_ >> (8 * (offset - 4)));
    default: return 0;
  }
}

uint32_t BusMasterIde::read_register(unsigned offset, unsigned size) {
  uint32_t value = 0;
  for (unsigned i = 0; i < size && offset + i < kRegisters; ++i)
    value |= uint32_t{read_byte(offset + i)} << (8 * i);
  return value;
}

void BusMasterIde::write_register(unsigned offset, unsigned size, uint32_t value) {
  for (unsigned i = 0; i < size && offset + i < kRegisters; ++i) {
    write_byte(offset + i, static_cast<uint8_t>(value >> (8 * i)));
  }
}

void BusMasterIde::write_byte(unsigned offset, uint8_t value) {
  switch (offset) {
    case 0: write_command(value); break;
    case 2: {
      // Error and Interrupt are cleared by writing ones; the drive capable bits are the BIOS's to keep.
      const auto cleared = static_cast<uint8_t>(status_ & ~(value & (kError | kInterrupt)));
      status_ = static_cast<uint8_t>((cleared & ~kDriveCapable) | (value & kDriveCapable));
      break;
    }
    case 4:
    case 5:
    case 6:
    case 7: {
      const unsigned shift = 8 * (offset - 4);
      table_ = ((table_ & ~(0xffu << shift)) | uint32_t{value} << shift) & ~3u;
      break;
    }
    default: break;
  }
}

void BusMasterIde::write_command(uint8_t value) {
  const bool was_started = (command_ & kStart) != 0;
  command_ = value & (kStart | kToMemory);
  const bool start = (command_ & kStart) != 0;
  if (start == was_started) return;
  if (!start) {
    // "Start/Stop Bus Master": stopping in the middle loses the rest of the transfer.
    status_ &= static_cast<uint8_t>(~kActive);
    return;
  }
  status_ |= kActive;
  next_descriptor_ = table_;
  region_left_ = 0;
  last_region_ = false;
  channel_.dma_started();
}

void BusMasterIde::stop_with_error() {
  status_ = static_cast<uint8_t>((status_ & ~kActive) | kError);
}

bool BusMasterIde::fetch_region() {
  std::array<uint8_t, 8> bytes{};
  if (!memory_.read(PhysicalAddress(next_descriptor_), bytes)) {
    stop_with_error();
    return false;
  }
  const auto word = [&](size_t at) {
    return uint32_t{bytes[at]} | uint32_t{bytes[at + 1]} << 8 | uint32_t{bytes[at + 2]} << 16 |
           uint32_t{bytes[at + 3]} << 24;
  };
  next_descriptor_ += 8;
  region_address_ = word(0) & ~1u;
  region_left_ = word(4) & 0xfffe;
  if (region_left_ == 0) region_left_ = 0x10000;
  last_region_ = (word(4) >> 31) != 0;
  return true;
}

template <typename Move>
size_t BusMasterIde::transfer(size_t size, Move move) {
  size_t done = 0;
  while (done < size && started()) {
    if (region_left_ == 0 && !fetch_region()) break;
    const size_t bytes = std::min<size_t>(size - done, region_left_);
    if (!move(PhysicalAddress(region_address_), done, bytes)) {
      stop_with_error();
      break;
    }
    done += bytes;
    region_address_ += static_cast<uint32_t>(bytes);
    region_left_ -= static_cast<uint32_t>(bytes);
    // The end of the last region takes Active away, whether or not the device has more.
    if (region_left_ == 0 && last_region_) status_ &= static_cast<uint8_t>(~kActive);
  }
  return done;
}

size_t BusMasterIde::to_memory(std::span<const uint8_t> data) {
  return transfer(data.size(), [&](PhysicalAddress address, size_t done, size_t bytes) {
    return memory_.write(address, data.subspan(done, bytes));
  });
}

size_t BusMasterIde::from_memory(std::span<uint8_t> data) {
  return transfer(data.size(), [&](PhysicalAddress address, size_t done, size_t bytes) {
    return memory_.read(address, data.subspan(done, bytes));
  });
}

void BusMasterIde::interrupt_changed(bool level) {
  // "IDE Interrupt Status": set by the rising edge of the channel's wire.
  if (level) status_ |= kInterrupt;
}

void BusMasterIde::serialize(StateArchive& archive) {
  archive.section("bus_master_ide", 1);
  archive.fields(command_, status_, table_, next_descriptor_, region_address_, region_left_, last_region_);
  if (region_left_ <= 0x10000) return;
  reset();
  archive.reject("a bus master's region is larger than 64 KiB");
}

}  // namespace vitrine::devices
