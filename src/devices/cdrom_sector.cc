#include "devices/cdrom_sector.h"

#include <algorithm>

namespace vitrine::devices {

namespace {

constexpr size_t kHeader = 12;
constexpr size_t kUser = 16;
constexpr size_t kEdc = kUser + kCdUserData;
constexpr size_t kParityP = kEdc + 4 + 8;
constexpr size_t kParityQ = kParityP + 172;

// ECMA-130, "EDC field": (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1), least significant bit first.
uint32_t edc_of(std::span<const uint8_t> data) {
  constexpr uint32_t kPolynomial = 0xd8018001;
  uint32_t edc = 0;
  for (const uint8_t byte : data) {
    edc ^= byte;
    for (int bit = 0; bit < 8; ++bit) edc = (edc & 1) != 0 ? edc >> 1 ^ kPolynomial : edc >> 1;
  }
  return edc;
}

// GF(2^8) with x^8 + x^4 + x^3 + x^2 + 1.
constexpr uint8_t times_x(uint8_t value) {
  return static_cast<uint8_t>(value << 1 ^ ((value & 0x80) != 0 ? 0x1d : 0));
}

// value / (x + 1), by table: the two parity bytes solve p0 + p1 = sum, p0 * x + p1 = weighted sum.
constexpr std::array<uint8_t, 256> kDividedByXPlus1 = [] {
  std::array<uint8_t, 256> table{};
  for (unsigned value = 0; value < 256; ++value) {
    const auto byte = static_cast<uint8_t>(value);
    table[byte ^ times_x(byte)] = byte;
  }
  return table;
}();

// Annex A of ECMA-130: `vectors` words of `length` bytes, whose bytes lie `step` apart and start at `start`
// each; the field wraps at `wrap`. Two parity bytes a vector, the second ones after all the first.
struct ParityLayout {
  size_t vectors, length, vector_step, step, wrap;
};

void write_parity(std::span<const uint8_t> field, const ParityLayout& layout, std::span<uint8_t> parity) {
  for (size_t vector = 0; vector < layout.vectors; ++vector) {
    size_t at = (vector >> 1) * layout.vector_step + (vector & 1);
    uint8_t sum = 0;
    uint8_t weighted = 0;
    for (size_t i = 0; i < layout.length; ++i) {
      const uint8_t byte = field[at];
      at += layout.step;
      if (at >= layout.wrap) at -= layout.wrap;
      sum ^= byte;
      weighted = times_x(static_cast<uint8_t>(weighted ^ byte));
    }
    // The codeword's last two bytes weigh x and 1, after all the others were raised past them.
    const uint8_t syndrome = times_x(weighted);
    const uint8_t first = kDividedByXPlus1[sum ^ syndrome];
    parity[vector] = first;
    parity[layout.vectors + vector] = static_cast<uint8_t>(first ^ sum);
  }
}

constexpr uint8_t bcd(uint32_t value) {
  return static_cast<uint8_t>((value / 10 % 16) << 4 | value % 10);
}

}  // namespace

CdTime cd_time(uint32_t lba) {
  constexpr uint64_t kFramesPerSecond = 75;
  const uint64_t frame = uint64_t{lba} + kCdPregap;
  return {static_cast<uint8_t>(frame / (60 * kFramesPerSecond)),
          static_cast<uint8_t>(frame / kFramesPerSecond % 60),
          static_cast<uint8_t>(frame % kFramesPerSecond)};
}

void complete_raw_sector(uint32_t lba, std::span<uint8_t, kCdRawSector> sector) {
  std::fill_n(sector.begin(), kHeader, uint8_t{0xff});
  sector[0] = 0;
  sector[kHeader - 1] = 0;
  const CdTime time = cd_time(lba);
  sector[kHeader] = bcd(time.minute);
  sector[kHeader + 1] = bcd(time.second);
  sector[kHeader + 2] = bcd(time.frame);
  sector[kHeader + 3] = 1;  // mode
  const uint32_t edc = edc_of(sector.first(kEdc));
  for (size_t i = 0; i < 4; ++i) sector[kEdc + i] = static_cast<uint8_t>(edc >> (8 * i));
  std::fill_n(sector.begin() + kEdc + 4, 8, uint8_t{0});
  const std::span<uint8_t> coded = sector.subspan(kHeader);
  write_parity(coded, {.vectors = 86, .length = 24, .vector_step = 2, .step = 86, .wrap = SIZE_MAX},
               sector.subspan(kParityP, 172));
  write_parity(coded, {.vectors = 52, .length = 43, .vector_step = 86, .step = 88, .wrap = 2236},
               sector.subspan(kParityQ, 104));
}

}  // namespace vitrine::devices
