// Moving sectors between an ATA disk's backend and the host: PIO blocks and DMA. The commands are in
// ata_disk.cc.
#include <algorithm>

#include "devices/ata_disk.h"

namespace vitrine::devices {

void AtaDisk::begin_pio_read(Addressing addressing, uint32_t block) {
  if (block == 0) return abort();  // READ MULTIPLE without a SET MULTIPLE MODE
  if (!begin(addressing)) return fail(AtaError::kIdNotFound);
  operation_.block = block;
  stage_ = Stage::Reading;
  read_block();
}

// Runs within the write to the command register: asks for the first block at once.
void AtaDisk::begin_pio_write(Addressing addressing, uint32_t block) {
  if (block == 0) return fail_later(AtaError::kAborted);
  if (!begin(addressing)) return fail_later(AtaError::kIdNotFound);
  if (backend_.read_only()) return fail_later(AtaError::kAborted);
  operation_.block = block;
  stage_ = Stage::Writing;
  begin_data_out(size_t{std::min(operation_.block, operation_.remaining)} * kSectorSize, Notify::Silent);
}

void AtaDisk::fail_later(uint8_t error) {
  operation_.remaining = 0;
  failure_ = error;
  stage_ = Stage::Failing;
  enter_busy();
}

void AtaDisk::begin_verify(Addressing addressing) {
  if (!begin(addressing)) return fail(AtaError::kIdNotFound);
  constexpr uint32_t kChunk = kBufferSize / kSectorSize;
  while (operation_.remaining > 0) {
    const uint32_t count = std::min(operation_.remaining, kChunk);
    if (!read_from_backend(count)) return;
    advance(count);
  }
  complete(Notify::Interrupt);
}

void AtaDisk::begin_dma(Addressing addressing, Stage stage) {
  if (dma_engine() == nullptr) return abort();
  if (!begin(addressing)) return fail(AtaError::kIdNotFound);
  if (stage == Stage::DmaWriting && backend_.read_only()) return abort();
  stage_ = stage;
  length_ = 0;
  position_ = 0;
  if (stage == Stage::DmaReading) {
    dma_read();
  } else {
    dma_write();
  }
}

void AtaDisk::transfer_failed(uint64_t lba, uint8_t error, uint8_t status_bits) {
  show_address(operation_, lba);
  fail(error, status_bits);
}

// Reads the next `count` sectors into the buffer. False: the command has failed.
bool AtaDisk::read_from_backend(uint32_t count) {
  const std::span<uint8_t> to = std::span(buffer_).first(size_t{count} * kSectorSize);
  const auto all = backend_.read(operation_.lba * kSectorSize, to);
  if (all) return true;
  host_failed(all.error());
  // The standard wants the address of the first bad sector.
  uint32_t good = 0;
  while (good + 1 < count && backend_.read((operation_.lba + good) * kSectorSize, to.first(kSectorSize)))
    ++good;
  transfer_failed(operation_.lba + good, AtaError::kUncorrectable, 0);
  return false;
}

bool AtaDisk::write_to_backend(uint32_t count) {
  const auto written =
      backend_.write(operation_.lba * kSectorSize, std::span(buffer_).first(size_t{count} * kSectorSize));
  if (written) return true;
  host_failed(written.error());
  transfer_failed(operation_.lba, AtaError::kAborted, AtaStatus::kDeviceFault);
  return false;
}

bool AtaDisk::flush_backend() {
  const auto flushed = backend_.flush();
  if (flushed) return true;
  host_failed(flushed.error());
  fail(AtaError::kAborted, AtaStatus::kDeviceFault);
  return false;
}

void AtaDisk::advance(uint32_t count) {
  operation_.lba += count;
  operation_.remaining -= count;
  // Registers end up at the last sector that was moved, and at a count of zero.
  show_address(operation_, operation_.lba - 1);
  registers_.sector_count = static_cast<uint8_t>(operation_.remaining);
  if (operation_.addressing == Addressing::Bits48) {
    previous_.sector_count = static_cast<uint8_t>(operation_.remaining >> 8);
  }
}

void AtaDisk::read_block() {
  const uint32_t count = std::min(operation_.remaining, operation_.block);
  if (count == 0) return complete(Notify::Silent);
  if (!read_from_backend(count)) return;
  advance(count);
  begin_data_in(size_t{count} * kSectorSize, Notify::Interrupt);
}

void AtaDisk::data_in_done() {
  // "PIO data-in command protocol": the last block is followed by no interrupt.
  if (operation_.remaining == 0) return complete(Notify::Silent);
  enter_busy();
}

void AtaDisk::data_out_done() {
  enter_busy();
}

void AtaDisk::write_block() {
  const uint32_t count = std::min(operation_.remaining, operation_.block);
  if (!write_to_backend(count)) return;
  if (count > 0) advance(count);
  if (operation_.remaining == 0) return finish_write();
  begin_data_out(size_t{std::min(operation_.block, operation_.remaining)} * kSectorSize, Notify::Interrupt);
}

void AtaDisk::finish_write() {
  if (!write_cache_ && !flush_backend()) return;
  complete(Notify::Interrupt);
}

// The buffer holds sectors that have been read but not all been taken by the engine: it may stop at any byte
// when the guest's descriptors end, and go on when it is started anew.
void AtaDisk::dma_read() {
  AtaDmaEngine* engine = dma_engine();
  if (engine == nullptr) return abort();
  while (true) {
    if (position_ == length_) {
      const auto count = std::min<uint32_t>(operation_.remaining, kBufferSize / kSectorSize);
      if (count == 0) return complete(Notify::Interrupt);
      if (!engine->started()) return wait_for_dma();
      if (!read_from_backend(count)) return;
      advance(count);
      length_ = count * kSectorSize;
      position_ = 0;
    }
    if (!engine->started()) return wait_for_dma();
    position_ +=
        static_cast<uint32_t>(engine->to_memory(std::span(buffer_).first(length_).subspan(position_)));
    if (position_ < length_) return wait_for_dma();
  }
}

void AtaDisk::dma_write() {
  AtaDmaEngine* engine = dma_engine();
  if (engine == nullptr) return abort();
  while (operation_.remaining > 0) {
    const auto count = std::min<uint32_t>(operation_.remaining, kBufferSize / kSectorSize);
    if (length_ != count * kSectorSize) {
      length_ = count * kSectorSize;
      position_ = 0;
    }
    if (!engine->started()) return wait_for_dma();
    position_ +=
        static_cast<uint32_t>(engine->from_memory(std::span(buffer_).first(length_).subspan(position_)));
    if (position_ < length_) return wait_for_dma();
    if (!write_to_backend(count)) return;
    advance(count);
    position_ = 0;
  }
  finish_write();
}

}  // namespace vitrine::devices
