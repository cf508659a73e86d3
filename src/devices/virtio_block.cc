#include "devices/virtio_block.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace vitrine::devices {
namespace {

// "Block Device: Device Operation".
constexpr uint32_t kRead = 0;
constexpr uint32_t kWrite = 1;
constexpr uint32_t kFlushCache = 4;
constexpr uint32_t kGetId = 8;
constexpr unsigned kHeaderSize = 16;

// The geometry that BIOSes agree on.
constexpr uint64_t kHeads = 16;
constexpr uint64_t kSectorsPerTrack = 63;
constexpr uint64_t kMostCylinders = 16383;

template <typename T>
void put(std::span<uint8_t> config, size_t offset, T value) {
  std::memcpy(&config[offset], &value, sizeof value);
}

}  // namespace

VirtioBlock::VirtioBlock(Clock& clock, BlockBackend& backend, std::string serial)
    : VirtioDevice(clock, VirtioId::Block, {kQueueSize}),
      backend_(backend),
      serial_(std::move(serial)),
      sectors_((backend.size() + kSectorSize - 1) / kSectorSize) {}

uint64_t VirtioBlock::device_features() const {
  return kSizeMax | kSegMax | kGeometry | kBlockSize | kFlush | (backend_.read_only() ? kReadOnly : 0);
}

// "Block Device: Device configuration layout".
void VirtioBlock::fill_config(std::span<uint8_t> config) const {
  put<uint64_t>(config, 0, sectors_);
  put<uint32_t>(config, 8, kMostSegmentBytes);
  put<uint32_t>(config, 12, kMostSegments);
  const uint64_t cylinders = std::clamp<uint64_t>(sectors_ / (kHeads * kSectorsPerTrack), 1, kMostCylinders);
  put<uint16_t>(config, 16, static_cast<uint16_t>(cylinders));
  put<uint8_t>(config, 18, kHeads);
  put<uint8_t>(config, 19, kSectorsPerTrack);
  put<uint32_t>(config, 20, kSectorSize);
}

std::optional<VirtioDevice::Served> VirtioBlock::handle(unsigned /*queue*/, const VirtqueueChain& chain,
                                                        DmaMemory& memory) {
  // A header to be read, a byte to be written at the end, wherever the buffers begin and end.
  std::array<uint8_t, kHeaderSize> header{};
  if (chain.writable_size() == 0 || !chain.read(memory, 0, header)) return std::nullopt;
  uint32_t type = 0;
  uint64_t sector = 0;
  std::memcpy(&type, header.data(), sizeof type);
  std::memcpy(&sector, &header[8], sizeof sector);
  const Outcome outcome = carry_out(chain, memory, type, sector);
  const auto status = static_cast<uint8_t>(outcome.status);
  if (!chain.write(memory, chain.writable_size() - 1, {&status, 1})) return std::nullopt;
  return Served{static_cast<uint32_t>(outcome.written + 1), outcome.moved};
}

VirtioBlock::Outcome VirtioBlock::carry_out(const VirtqueueChain& chain, DmaMemory& memory, uint32_t type,
                                            uint64_t sector) {
  switch (type) {
    case kRead: return read(chain, memory, sector);
    case kWrite: return write(chain, memory, sector);
    case kFlushCache: return {status_of(backend_.flush())};
    case kGetId: return identify(chain, memory);
    default: return {Status::Unsupported};
  }
}

bool VirtioBlock::on_disk(uint64_t sector, uint64_t bytes) const {
  if (bytes % kSectorSize != 0 || bytes > kMostBytes) return false;
  return sector <= sectors_ && bytes / kSectorSize <= sectors_ - sector;
}

VirtioBlock::Outcome VirtioBlock::read(const VirtqueueChain& chain, DmaMemory& memory, uint64_t sector) {
  const uint64_t bytes = chain.writable_size() - 1;
  if (!on_disk(sector, bytes)) return {};
  read_pieces_.clear();
  if (!chain.find_writable(memory, 0, bytes, read_pieces_)) return {};
  const Status status = status_of(backend_.read_pieces(sector * kSectorSize, read_pieces_));
  return {status, status == Status::Ok ? bytes : 0, bytes};
}

VirtioBlock::Outcome VirtioBlock::write(const VirtqueueChain& chain, DmaMemory& memory, uint64_t sector) {
  const uint64_t bytes = chain.readable_size() - kHeaderSize;
  if (!on_disk(sector, bytes) || backend_.read_only()) return {};
  write_pieces_.clear();
  if (!chain.find_readable(memory, kHeaderSize, bytes, write_pieces_)) return {};
  Status status = status_of(backend_.write_pieces(sector * kSectorSize, write_pieces_));
  // "Block Device: Device Requirements": for a driver that cannot flush, a write is durable when it is done.
  if (status == Status::Ok && !accepted(kFlush)) status = status_of(backend_.flush());
  return {status, 0, bytes};
}

VirtioBlock::Outcome VirtioBlock::identify(const VirtqueueChain& chain, DmaMemory& memory) const {
  std::array<uint8_t, kIdSize> id{};
  std::copy_n(serial_.begin(), std::min(serial_.size(), id.size()), id.begin());
  const uint64_t bytes = std::min<uint64_t>(chain.writable_size() - 1, id.size());
  if (!chain.write(memory, 0, std::span(id).first(bytes))) return {};
  return {Status::Ok, bytes, bytes};
}

VirtioBlock::Status VirtioBlock::status_of(const Result<void>& done) {
  if (done) return Status::Ok;
  const std::string message = done.error().message();
  if (report_ && message != last_report_) report_(done.error());
  last_report_ = message;
  return Status::Failed;
}

}  // namespace vitrine::devices
