// The 256 words that IDENTIFY DEVICE and IDENTIFY PACKET DEVICE answer with, and the transfer modes that they
// report and SET FEATURES selects. Documentation: ATA/ATAPI-6 (T13/1410D), "IDENTIFY DEVICE", "SET FEATURES",
// "Set transfer mode".
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/state_archive.h"

namespace vitrine::devices {

/// What a device calls itself. Longer strings than the words hold are cut.
struct AtaIdentity {
  std::string model;     ///< 40 characters
  std::string serial;    ///< 20 characters
  std::string firmware;  ///< 8 characters
};

class AtaIdentifyData {
 public:
  static constexpr size_t kBytes = 512;

  [[nodiscard]] uint16_t& operator[](unsigned word) { return words_[word]; }
  void set32(unsigned word, uint32_t value);
  void set64(unsigned word, uint64_t value);
  void set_identity(const AtaIdentity& identity);
  /// The bytes as they cross the bus, with the integrity word. `to` has kBytes.
  void write(std::span<uint8_t> to);

 private:
  void set_string(unsigned word, unsigned count, std::string_view text);

  std::array<uint16_t, 256> words_{};
};

/// PIO, multiword DMA and Ultra DMA modes: all that exist are accepted; here they differ in name only.
class AtaTransferModes {
 public:
  /// SET FEATURES, "Set transfer mode": `value` is the sector count register. False: no such mode.
  [[nodiscard]] bool select(uint8_t value);
  /// Words 49, 53 and 62-68 and 88.
  void describe(AtaIdentifyData& data) const;
  void serialize(StateArchive& archive);

 private:
  static constexpr uint8_t kMultiwordModes = 0x07;
  static constexpr uint8_t kUltraModes = 0x3f;

  uint8_t multiword_ = 0x04;  // the selected one, a bit; at most one of the two is set
  uint8_t ultra_ = 0;
};

}  // namespace vitrine::devices
