#include "devices/ata_identify.h"

#include <numeric>

namespace vitrine::devices {

void AtaIdentifyData::set32(unsigned word, uint32_t value) {
  words_[word] = static_cast<uint16_t>(value);
  words_[word + 1] = static_cast<uint16_t>(value >> 16);
}

void AtaIdentifyData::set64(unsigned word, uint64_t value) {
  set32(word, static_cast<uint32_t>(value));
  set32(word + 2, static_cast<uint32_t>(value >> 32));
}

void AtaIdentifyData::set_string(unsigned word, unsigned count, std::string_view text) {
  // "ATA string convention": the first character is the high byte; padded with spaces.
  const auto at = [text](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{' '}; };
  for (unsigned i = 0; i < count; ++i) {
    words_[word + i] = static_cast<uint16_t>(at(size_t{i} * 2) << 8 | at(size_t{i} * 2 + 1));
  }
}

void AtaIdentifyData::set_identity(const AtaIdentity& identity) {
  set_string(10, 10, identity.serial);
  set_string(23, 4, identity.firmware);
  set_string(27, 20, identity.model);
}

void AtaIdentifyData::write(std::span<uint8_t> to) {
  constexpr uint16_t kIntegritySignature = 0xa5;
  words_[255] = kIntegritySignature;
  for (size_t i = 0; i < words_.size(); ++i) {
    to[i * 2] = static_cast<uint8_t>(words_[i]);
    to[i * 2 + 1] = static_cast<uint8_t>(words_[i] >> 8);
  }
  // "Integrity word": the sum of all 512 bytes is zero.
  const unsigned sum = std::accumulate(to.begin(), to.begin() + kBytes, 0u);
  to[kBytes - 1] = static_cast<uint8_t>(-sum);
}

bool AtaTransferModes::select(uint8_t value) {
  const unsigned mode = value & 7;
  const auto bit = static_cast<uint8_t>(1u << mode);
  switch (value >> 3) {
    case 0: return mode <= 1;  // PIO default, with or without IORDY
    case 1: return mode <= 4;  // PIO flow control modes
    case 4:
      if ((bit & kMultiwordModes) == 0) return false;
      multiword_ = bit;
      ultra_ = 0;
      return true;
    case 8:
      if ((bit & kUltraModes) == 0) return false;
      ultra_ = bit;
      multiword_ = 0;
      return true;
    default: return false;
  }
}

void AtaTransferModes::describe(AtaIdentifyData& data) const {
  constexpr uint16_t kCycleTime = 120;  // nanoseconds
  data[49] |= 0x0f00;                   // LBA, DMA, IORDY supported and controllable
  data[53] |= 0x0007;                   // words 54-58, 64-70 and 88 are valid
  data[63] = static_cast<uint16_t>(multiword_ << 8 | kMultiwordModes);
  data[64] = 0x0003;  // PIO modes 3 and 4
  for (unsigned word = 65; word <= 68; ++word) data[word] = kCycleTime;
  data[88] = static_cast<uint16_t>(ultra_ << 8 | kUltraModes);
}

void AtaTransferModes::serialize(StateArchive& archive) {
  archive.fields(multiword_, ultra_);
}

}  // namespace vitrine::devices
