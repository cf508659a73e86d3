#include "devices/cdrom_sector.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine::devices {
namespace {

// GF(2^8) arithmetic of its own, bit by bit.
uint8_t multiply(uint8_t a, uint8_t b) {
  unsigned product = 0;
  for (int i = 0; i < 8; ++i) {
    if ((b >> i & 1) != 0) product ^= static_cast<unsigned>(a) << i;
  }
  for (int i = 14; i >= 8; --i) {
    if ((product >> i & 1) != 0) product ^= 0x11du << (i - 8);
  }
  return static_cast<uint8_t>(product);
}

// ECMA-130, annex A: a codeword V satisfies H x V = 0, with H a row of ones over a row of falling powers of
// alpha.
void expect_codeword(const std::vector<uint8_t>& word) {
  uint8_t sum = 0;
  uint8_t weighted = 0;
  for (const uint8_t byte : word) {
    sum ^= byte;
    weighted = static_cast<uint8_t>(multiply(weighted, 2) ^ byte);
  }
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(weighted, 0);
}

std::array<uint8_t, kCdRawSector> sample(uint32_t lba) {
  std::array<uint8_t, kCdRawSector> sector{};
  for (size_t i = 0; i < kCdUserData; ++i) sector[16 + i] = static_cast<uint8_t>(i * 31 + i / 256 + 5);
  complete_raw_sector(lba, sector);
  return sector;
}

TEST(CdromSector, TimesCountFromThePregap) {
  EXPECT_EQ(cd_time(0).second, 2);
  EXPECT_EQ(cd_time(0).frame, 0);
  const CdTime later = cd_time(75 * 60 * 3 + 74);
  EXPECT_EQ(later.minute, 3);
  EXPECT_EQ(later.second, 2);
  EXPECT_EQ(later.frame, 74);
}

TEST(CdromSector, HeaderIsInBcd) {
  const auto sector = sample(75 * 60 * 12 + 75 * 40 + 33);
  EXPECT_EQ(sector[0], 0x00);
  EXPECT_EQ(sector[1], 0xff);
  EXPECT_EQ(sector[11], 0x00);
  EXPECT_EQ(sector[12], 0x12);
  EXPECT_EQ(sector[13], 0x42);
  EXPECT_EQ(sector[14], 0x33);
  EXPECT_EQ(sector[15], 0x01);
}

TEST(CdromSector, ParityVectorsAreCodewords) {
  const auto sector = sample(1000);
  const uint8_t* coded = sector.data() + 12;
  for (size_t column = 0; column < 86; ++column) {
    std::vector<uint8_t> word;
    for (size_t row = 0; row < 26; ++row) word.push_back(coded[row * 86 + column]);
    expect_codeword(word);
  }
  for (size_t diagonal = 0; diagonal < 52; ++diagonal) {
    std::vector<uint8_t> word;
    for (size_t i = 0; i < 43; ++i) {
      // "Q vectors", in 16-bit words: (44 * M + 43 * N) mod 1118, the low and high bytes apart.
      const size_t index = (44 * i + 43 * (diagonal / 2)) % 1118;
      word.push_back(coded[index * 2 + diagonal % 2]);
    }
    word.push_back(coded[2236 + diagonal]);
    word.push_back(coded[2236 + 52 + diagonal]);
    expect_codeword(word);
  }
}

TEST(CdromSector, TheErrorDetectionCodeDividesThePolynomial) {
  const auto sector = sample(4711);
  uint32_t remainder = 0;
  for (size_t i = 0; i < 2068; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      const uint32_t input = sector[i] >> bit & 1u;
      const bool carry = ((remainder ^ input) & 1) != 0;
      remainder = carry ? remainder >> 1 ^ 0xd8018001u : remainder >> 1;
    }
  }
  EXPECT_EQ(remainder, 0u);
}

}  // namespace
}  // namespace vitrine::devices
