#include "devices/dma8237a.h"

#include <algorithm>

#include "base/check.h"

namespace vitrine::devices {

namespace {

// IBM PC/AT Technical Reference, "DMA Page Registers": which of ports 80h-8Fh holds a channel's page.
constexpr std::array<uint8_t, Dma8237a::kChannels> kPageRegister = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};

// 8237A data sheet, "Software Commands": registers of the upper half, after shifting out the second chip's
// spacing.
constexpr unsigned kCommandStatus = 0x8;
constexpr unsigned kRequest = 0x9;
constexpr unsigned kSingleMask = 0xa;
constexpr unsigned kMode = 0xb;
constexpr unsigned kClearFlipFlop = 0xc;
constexpr unsigned kMasterClear = 0xd;
constexpr unsigned kClearMask = 0xe;
constexpr unsigned kAllMask = 0xf;

constexpr uint8_t kControllerDisable = 0x04;  // of the command register

}  // namespace

void Dma8237a::Chip::master_clear() {
  *this = Chip{};
}

void Dma8237a::reset() {
  channels_ = {};
  pages_ = {};
  for (Chip& chip : chips_) chip.master_clear();
}

bool Dma8237a::ready(unsigned channel) const {
  CHECK(channel < kChannels && channel != 4, "DMA channel {}", channel);
  const Chip& chip = chips_[channel / 4];
  return (chip.command & kControllerDisable) == 0 && (chip.mask >> (channel & 3) & 1) == 0 &&
         !channels_[channel].cascade();
}

Dma8237a::Run Dma8237a::next_run(unsigned channel, size_t size) const {
  const Channel& state = channels_[channel];
  const unsigned shift = channel / 4;
  const uint8_t page = pages_[kPageRegister[channel]];
  // The 16-bit channels take address bits 16-1 from the counter, so the page's lowest bit has no line to
  // drive.
  const uint64_t base = shift == 0 ? uint64_t{page} << 16 : uint64_t{page & 0xfeu} << 16;
  const size_t counted = size_t{state.count} + 1;
  // The counter wraps inside the page: nothing carries into the page register.
  const size_t until_wrap = 0x10000 - size_t{state.address};
  const size_t units = state.decrement() ? 1 : std::min({size >> shift, counted, until_wrap});
  return {PhysicalAddress(base + (uint64_t{state.address} << shift)), units << shift};
}

bool Dma8237a::advance(unsigned channel, size_t units) {
  Channel& state = channels_[channel];
  const auto step = static_cast<uint16_t>(units);
  state.address = static_cast<uint16_t>(state.decrement() ? state.address - step : state.address + step);
  const bool terminal = units == size_t{state.count} + 1;
  state.count = static_cast<uint16_t>(state.count - step);
  if (!terminal) return false;
  Chip& chip = chips_[channel / 4];
  const auto bit = static_cast<uint8_t>(1u << (channel & 3));
  chip.status |= bit;
  chip.request &= static_cast<uint8_t>(~bit);
  if (state.autoinitialise()) {
    state.address = state.base_address;
    state.count = state.base_count;
  } else {
    chip.mask |= bit;
  }
  return true;
}

template <typename Move>
DmaTransfer Dma8237a::transfer(unsigned channel, size_t size, Move move) {
  DmaTransfer result;
  if (!ready(channel)) return result;
  const unsigned shift = channel / 4;
  while (size - result.bytes >= (size_t{1} << shift)) {
    const Run run = next_run(channel, size - result.bytes);
    move(run, result.bytes);
    result.bytes += run.bytes;
    if (advance(channel, run.bytes >> shift)) {
      result.terminal_count = true;
      break;
    }
  }
  return result;
}

DmaTransfer Dma8237a::device_to_memory(unsigned channel, std::span<const uint8_t> data) {
  return transfer(channel, data.size(), [&](const Run& run, size_t offset) {
    if (channels_[channel].kind() == Kind::ToMemory)
      memory_.write(run.start, data.subspan(offset, run.bytes));
  });
}

DmaTransfer Dma8237a::memory_to_device(unsigned channel, std::span<uint8_t> data) {
  return transfer(channel, data.size(), [&](const Run& run, size_t offset) {
    const std::span<uint8_t> part = data.subspan(offset, run.bytes);
    if (channels_[channel].kind() == Kind::FromMemory) {
      memory_.read(run.start, part);
    } else {
      std::ranges::fill(part, uint8_t{0});
    }
  });
}

uint32_t Dma8237a::read_port(uint16_t port, unsigned /*size*/) {
  if (port <= 0x0f) return read_chip(0, port);
  if (port >= 0x80 && port <= 0x8f) return pages_[port - 0x80u];
  if (port >= 0xc0 && port <= 0xdf) return read_chip(1, (port - 0xc0u) >> 1);
  return 0xff;
}

void Dma8237a::write_port(uint16_t port, unsigned /*size*/, uint32_t value) {
  const auto byte = static_cast<uint8_t>(value);
  if (port <= 0x0f) {
    write_chip(0, port, byte);
  } else if (port >= 0x80 && port <= 0x8f) {
    pages_[port - 0x80u] = byte;
  } else if (port >= 0xc0 && port <= 0xdf) {
    write_chip(1, (port - 0xc0u) >> 1, byte);
  }
}

uint8_t Dma8237a::read_counter(unsigned chip, unsigned index) {
  const Channel& channel = channels_[chip * 4 + index / 2];
  const uint16_t value = (index & 1) != 0 ? channel.count : channel.address;
  const bool high = chips_[chip].last;
  chips_[chip].last = !high;
  return static_cast<uint8_t>(high ? value >> 8 : value);
}

void Dma8237a::write_counter(unsigned chip, unsigned index, uint8_t value) {
  Channel& channel = channels_[chip * 4 + index / 2];
  uint16_t& base = (index & 1) != 0 ? channel.base_count : channel.base_address;
  uint16_t& current = (index & 1) != 0 ? channel.count : channel.address;
  // Base and current registers are written together, byte by byte.
  const auto with = [&](uint16_t old) {
    return static_cast<uint16_t>(chips_[chip].last ? (old & 0x00ff) | value << 8 : (old & 0xff00) | value);
  };
  base = with(base);
  current = with(current);
  chips_[chip].last = !chips_[chip].last;
}

uint8_t Dma8237a::read_chip(unsigned chip, unsigned index) {
  if (index < 8) return read_counter(chip, index);
  Chip& state = chips_[chip];
  switch (index) {
    case kCommandStatus: {
      const auto value = static_cast<uint8_t>(state.status | state.request << 4);
      state.status = 0;
      return value;
    }
    case kMasterClear: return 0;  // the temporary register, which only memory-to-memory transfers fill
    case kAllMask: return static_cast<uint8_t>(0xf0 | state.mask);
    default: return 0xff;
  }
}

void Dma8237a::write_chip(unsigned chip, unsigned index, uint8_t value) {
  if (index < 8) return write_counter(chip, index, value);
  Chip& state = chips_[chip];
  const auto bit = static_cast<uint8_t>(1u << (value & 3));
  const auto assign = [&](uint8_t& bits) {
    bits = static_cast<uint8_t>((value & 4) != 0 ? bits | bit : bits & ~bit);
  };
  switch (index) {
    case kCommandStatus: state.command = value; break;
    case kRequest: assign(state.request); break;
    case kSingleMask: assign(state.mask); break;
    case kMode: channels_[chip * 4 + (value & 3u)].mode = static_cast<uint8_t>(value & 0xfc); break;
    case kClearFlipFlop: state.last = false; break;
    case kMasterClear: state.master_clear(); break;
    case kClearMask: state.mask = 0; break;
    case kAllMask: state.mask = value & 0xf; break;
    default: break;
  }
}

void Dma8237a::serialize(StateArchive& archive) {
  archive.section("dma8237a", 1);
  for (Channel& channel : channels_) {
    archive.fields(channel.base_address, channel.base_count, channel.address, channel.count, channel.mode);
  }
  for (Chip& chip : chips_) {
    archive.fields(chip.command, chip.status, chip.request, chip.mask, chip.last);
    chip.status &= 0xf;
    chip.request &= 0xf;
    chip.mask &= 0xf;
  }
  archive.field(pages_);
}

}  // namespace vitrine::devices
