// What a CD's raw 2352-byte sector of mode 1 adds around its 2048 bytes of user data: sync pattern, header,
// error detection and correction codes; and the minute/second/frame addresses of the disc. Documentation:
// ECMA-130 (CD-ROM), "Sectors of a Digital Data Track" and annex A; MMC-3, "READ CD".
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace vitrine::devices {

inline constexpr size_t kCdUserData = 2048;
inline constexpr size_t kCdRawSector = 2352;
/// LBA 0 lies two seconds after the start of the programme area.
inline constexpr uint32_t kCdPregap = 150;

struct CdTime {
  uint8_t minute = 0;
  uint8_t second = 0;
  uint8_t frame = 0;
};

/// Where `lba` is on the disc. Minutes past 255 wrap.
[[nodiscard]] CdTime cd_time(uint32_t lba);

/// Puts everything but the user data, which is at bytes 16-2063, into a raw sector.
void complete_raw_sector(uint32_t lba, std::span<uint8_t, kCdRawSector> sector);

}  // namespace vitrine::devices
