#include "devices/floppy_drive.h"

#include <algorithm>
#include <array>

namespace vitrine::devices {

namespace {

constexpr uint8_t kRate500 = 0;
constexpr uint8_t kRate300 = 1;
constexpr uint8_t kRate250 = 2;
constexpr uint8_t kRate1000 = 3;

using enum FloppyDriveType;

// In ascending order of size. A 1.2 MB drive turns at 360/min and reads double density at 300 kbit/s.
constexpr std::array<FloppyFormat, 11> kFormats = {{
    {160, 40, 1, 8, kRate250, kRate300, Inch5High1200K},
    {180, 40, 1, 9, kRate250, kRate300, Inch5High1200K},
    {320, 40, 2, 8, kRate250, kRate300, Inch5High1200K},
    {360, 40, 2, 9, kRate250, kRate300, Inch5High1200K},
    {720, 80, 2, 9, kRate250, kRate250, Inch3High1440K},
    {1200, 80, 2, 15, kRate500, kRate500, Inch5High1200K},
    {1440, 80, 2, 18, kRate500, kRate500, Inch3High1440K},
    {1600, 80, 2, 20, kRate500, kRate500, Inch3High1440K},
    {1680, 80, 2, 21, kRate500, kRate500, Inch3High1440K},
    {1722, 82, 2, 21, kRate500, kRate500, Inch3High1440K},
    {2880, 80, 2, 36, kRate1000, kRate1000, Inch3Extra2880K},
}};

static_assert(std::ranges::is_sorted(kFormats, {}, &FloppyFormat::kilobytes));
static_assert(std::ranges::all_of(kFormats, [](const FloppyFormat& format) {
  return uint32_t{format.tracks} * format.heads * format.sectors * kFloppySectorSize ==
         format.kilobytes * 1024;
}));

}  // namespace

const FloppyFormat& floppy_format(uint64_t bytes) {
  const auto fits = [bytes](const FloppyFormat& format) {
    return uint64_t{format.kilobytes} * 1024 >= bytes;
  };
  const auto it = std::ranges::find_if(kFormats, fits);
  if (it == kFormats.end()) return kFormats.back();
  // A size that is no format's own is most likely a boot image cut short: those are made for 1.44 MB drives.
  constexpr uint32_t kUsual = 1440;
  if (uint64_t{it->kilobytes} * 1024 != bytes && it->kilobytes < kUsual) {
    return *std::ranges::find(kFormats, kUsual, &FloppyFormat::kilobytes);
  }
  return *it;
}

void FloppyDrive::insert(BlockBackend* diskette) {
  diskette_ = diskette;
  format_ = diskette == nullptr ? nullptr : &floppy_format(diskette->size());
  changed_ = true;
}

void FloppyDrive::step(int tracks) {
  if (tracks == 0 || !connected()) return;
  track_ = static_cast<uint8_t>(std::clamp<int>(track_ + tracks, 0, kLastTrack));
  // A step pulse with a diskette inside resets the change line.
  if (diskette_ != nullptr) changed_ = false;
}

std::optional<uint64_t> FloppyDrive::sector_offset(uint8_t head, uint8_t sector) const {
  if (track_ >= format_->tracks || head >= format_->heads || sector == 0 || sector > format_->sectors) {
    return std::nullopt;
  }
  const uint32_t index = (uint32_t{track_} * format_->heads + head) * format_->sectors + sector - 1u;
  return uint64_t{index} * kFloppySectorSize;
}

void FloppyDrive::serialize(StateArchive& archive) {
  archive.fields(track_, changed_);
  if (track_ > kLastTrack) {
    track_ = 0;
    archive.reject("a floppy drive's head is beyond its last track");
  }
}

}  // namespace vitrine::devices
