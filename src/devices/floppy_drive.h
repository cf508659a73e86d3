// A floppy disk drive and the diskette in it: head position, disk change line, and which sectors a diskette
// of a given size has. It knows nothing of the controller's commands.
//
// A diskette is an image of its sectors in order of track, head, sector; sectors are always 512 bytes. Images
// of an unusual size are taken for the smallest standard format that holds them; what is missing reads as
// zeros.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/state_archive.h"
#include "devices/block_backend.h"

namespace vitrine::devices {

/// Kinds of drive, by the value that the CMOS byte 10h has for them.
enum class FloppyDriveType : uint8_t {
  None = 0,
  Inch5Double360K = 1,
  Inch5High1200K = 2,
  Inch3Double720K = 3,
  Inch3High1440K = 4,
  Inch3Extra2880K = 5,
};

/// How a diskette is divided.
struct FloppyFormat {
  uint32_t kilobytes;
  uint8_t tracks;
  uint8_t heads;
  uint8_t sectors;        ///< per track
  uint8_t data_rate;      ///< the DSR/CCR code: 0: 500, 1: 300, 2: 250, 3: 1000 kbit/s
  uint8_t other_rate;     ///< a second code that reads it in a drive of another speed
  FloppyDriveType drive;  ///< the drive that takes it
};

inline constexpr uint32_t kFloppySectorSize = 512;

/// The format of an image of `bytes`.
[[nodiscard]] const FloppyFormat& floppy_format(uint64_t bytes);

class FloppyDrive {
 public:
  /// Where the arm stops.
  static constexpr uint8_t kLastTrack = 83;

  FloppyDrive() = default;

  /// A drive of a type that takes the diskette it will hold; None takes the drive away.
  void connect(FloppyDriveType type) { type_ = type; }
  [[nodiscard]] bool connected() const { return type_ != FloppyDriveType::None; }
  [[nodiscard]] FloppyDriveType type() const { return type_; }

  /// Puts in a diskette, or takes it out (nullptr). The backend must outlive its stay.
  void insert(BlockBackend* diskette);
  [[nodiscard]] bool loaded() const { return connected() && diskette_ != nullptr; }
  [[nodiscard]] bool write_protected() const { return loaded() && diskette_->read_only(); }
  /// Of the diskette inside. Only while loaded.
  [[nodiscard]] const FloppyFormat& format() const { return *format_; }
  /// The disk change line: a diskette was taken out since the last step, or none is in.
  [[nodiscard]] bool changed() const { return connected() && changed_; }

  [[nodiscard]] uint8_t track() const { return track_; }
  [[nodiscard]] bool at_track0() const { return connected() && track_ == 0; }
  /// Steps inwards (positive) or outwards.
  void step(int tracks);
  /// Motion that an absent or stopped diskette does not hinder, to a given track.
  void seek(uint8_t track) { step(static_cast<int>(track) - track_); }

  /// Byte offset of a sector under the head, or nothing when the diskette has no such sector. Only while
  /// loaded.
  [[nodiscard]] std::optional<uint64_t> sector_offset(uint8_t head, uint8_t sector) const;
  [[nodiscard]] Result<void> read(uint64_t offset, std::span<uint8_t> data) {
    return diskette_->read(offset, data);
  }
  [[nodiscard]] Result<void> write(uint64_t offset, std::span<const uint8_t> data) {
    return diskette_->write(offset, data);
  }

  /// Which diskette is in is not part of the state: whoever restores has inserted the same ones.
  void serialize(StateArchive& archive);

 private:
  BlockBackend* diskette_ = nullptr;
  const FloppyFormat* format_ = nullptr;  // set with diskette_
  FloppyDriveType type_ = FloppyDriveType::None;
  uint8_t track_ = 0;
  bool changed_ = true;  // until the first step after power-on
};

}  // namespace vitrine::devices
