#include "cli/open_drives.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/image_lock.h"
#include "cli/token_argument.h"
#include "machine/snapshot_overlay.h"

namespace vitrine::cli {
namespace {

using machine::DriveConfig;
using machine::DriveInterface;
using machine::Media;
using machine::Writes;

/// Formats that are no raw images, by what stands at their start.
struct ForeignFormat {
  std::string_view magic;
  size_t offset;
  std::string_view name;
  std::string_view advice;
};
constexpr std::string_view kConvert =
    "qemu-img convert -O raw OLD NEW makes a raw one; format=raw takes it as it is";
constexpr std::string_view kUnpack = "unpack it first; format=raw takes it as it is";
constexpr ForeignFormat kForeignFormats[] = {
    {"QFI\xfb", 0, "a qcow2 image", kConvert},
    {"KDMV", 0, "a VMDK image", kConvert},
    {"# Disk DescriptorFile", 0, "a VMDK description", kConvert},
    {"\x7f\x10\xda\xbe", 0x40, "a VDI image", kConvert},
    {"vhdxfile", 0, "a VHDX image", kConvert},
    {"conectix", 0, "a VHD image", kConvert},
    {"\x1f\x8b\x08", 0, "compressed by gzip", kUnpack},
    {"\xfd"
     "7zXZ",
     0, "compressed by xz", kUnpack},
    {"BZh9", 0, "compressed by bzip2", kUnpack},
};

Result<void> check_format(const Descriptor& file, const std::string& name) {
  std::array<char, 512> start{};
  const ssize_t count = ::pread(file.get(), start.data(), start.size(), 0);
  if (count < 0) return std::unexpected(error_from_errno("cannot read the disk image", name));
  const std::string_view text(start.data(), static_cast<size_t>(count));
  for (const ForeignFormat& format : kForeignFormats) {
    if (text.size() < format.offset || !text.substr(format.offset).starts_with(format.magic)) continue;
    return std::unexpected(
        Error{"cannot use the disk image", name, 0, fmt::format("it is {}: {}", format.name, format.advice)});
  }
  return {};
}

Result<uint64_t> examine(const Descriptor& file, const std::string& name) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    return std::unexpected(error_from_errno("cannot examine the disk image", name));
  if (S_ISREG(status.st_mode)) return static_cast<uint64_t>(status.st_size);
  uint64_t size = 0;
  if (S_ISBLK(status.st_mode) && ::ioctl(file.get(), BLKGETSIZE64, &size) == 0) return size;
  return std::unexpected(
      Error{"cannot use as a disk image", name, 0,
            S_ISDIR(status.st_mode) ? "it is a directory" : "it is neither a file nor a block device"});
}

bool is_in_memory(const Descriptor& file) {
  struct statfs system {};
  return ::fstatfs(file.get(), &system) == 0 &&
         (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

/// Sealed: whoever has the descriptor cannot make it hold more than `size` bytes.
Result<Descriptor> create_memory_overlay(uint64_t size) {
  Descriptor file(::memfd_create("vitrine-overlay", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return std::unexpected(error_from_errno("cannot create a temporary file for -snapshot", ""));
  return file;
}

/// Unlinked, without contents: on disk where TMPDIR points if that can be, else in memory. `size`: the
/// image's.
Result<Descriptor> create_overlay(uint64_t size) {
  const char* directory = std::getenv("TMPDIR");
  Descriptor file(
      ::open(directory != nullptr ? directory : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file && !is_in_memory(file)) return file;
  // Whole clusters are written.
  constexpr uint64_t kCluster = machine::SnapshotOverlay::kClusterSize;
  return create_memory_overlay((size + kCluster - 1) / kCluster * kCluster);
}

std::string drive_id(const DriveOptions& drive) {
  if (!drive.id.empty()) return drive.id;
  const unsigned index = drive.index.value_or(0);
  if (drive.interface == DriveInterface::Floppy) return fmt::format("floppy{}", index);
  if (drive.interface == DriveInterface::Virtio) return fmt::format("virtio{}", index);
  return fmt::format("ide{}-{}{}", index / 2, drive.media == Media::Cdrom ? "cd" : "hd", index % 2);
}

Writes writes_of(const DriveOptions& drive, bool all_snapshots) {
  if (drive.media == Media::Cdrom) return Writes::Refused;
  if (drive.snapshot.value_or(all_snapshots)) return Writes::ToOverlay;
  return drive.read_only ? Writes::Refused : Writes::ToImage;
}

/// Opened by the token service, for whoever knows the token.
Result<Descriptor> redeem_image(const std::string& argument, bool writable) {
  using capability::Right;
  auto image =
      TRY(redeem_argument(argument, writable ? Right::Read | Right::Write : capability::Rights(Right::Read)));
  if (image.kind() != capability::Kind::File)
    return std::unexpected(Error{"the token for a disk image is for a", std::string(name_of(image.kind()))});
  return std::move(image).release();
}

Result<Descriptor> open_image(const DriveOptions& drive, Writes writes) {
  const bool writable = writes == Writes::ToImage;
  if (is_token_argument(drive.file)) return redeem_image(drive.file, writable);
  // O_NONBLOCK: a FIFO must not hold us up before it is refused.
  Descriptor file(
      ::open(drive.file.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file) return file;
  const int reason = errno;
  const bool readable = writable && ::access(drive.file.c_str(), R_OK) == 0;
  const bool not_writable = reason == EACCES || reason == EROFS || reason == EPERM || reason == ETXTBSY;
  if (readable && not_writable) {
    return std::unexpected(
        Error{"cannot open the disk image for writing", drive.file, reason,
              "use -drive readonly=on, or -snapshot to let the guest write and forget it"});
  }
  return std::unexpected(Error{"cannot open the disk image", drive.file, reason});
}

Result<void> lock(const DriveOptions& drive, const DriveConfig& config, std::vector<std::string>& warnings) {
  const auto kind = config.writes == Writes::ToImage ? LockKind::Exclusive : LockKind::Shared;
  const auto outcome = lock_image(config.image, drive.file, kind);
  if (!outcome) return std::unexpected(outcome.error());
  if (*outcome == LockOutcome::NotSupported) {
    warnings.push_back(fmt::format(
        "'{}' cannot be locked on this file system: see that nobody else writes to it", drive.file));
  }
  return {};
}

Result<void> check_size(const DriveOptions& drive, uint64_t size, std::vector<std::string>& warnings) {
  const unsigned sector = drive.media == Media::Cdrom ? 2048 : 512;
  if (size == 0) {
    return std::unexpected(Error{"cannot use the disk image", drive.file, 0,
                                 "it is empty; truncate -s 64M FILE gives it a size"});
  }
  if (size % sector != 0) {
    warnings.push_back(fmt::format(
        "the size of '{}', {} bytes, is not a multiple of {}: the last sector ends in zeros, and what "
        "the guest writes there cannot be kept",
        drive.file, size, sector));
  }
  return {};
}

/// What an image is called in messages and by the monitor: a token is a secret.
std::string shown_name(const DriveOptions& drive) {
  return is_token_argument(drive.file) ? fmt::format("token of {}", drive_id(drive)) : drive.file;
}

Result<DriveConfig> open_drive(DriveOptions drive, bool all_snapshots, std::vector<std::string>& warnings) {
  DriveConfig config;
  config.id = drive_id(drive);
  config.name = shown_name(drive);
  config.interface = drive.interface;
  config.index = drive.index.value_or(0);
  config.media = drive.media;
  config.writes = writes_of(drive, all_snapshots);
  if (drive.file.empty()) return config;

  config.image = TRY(open_image(drive, config.writes));
  drive.file = config.name;
  const uint64_t size = TRY(examine(config.image, drive.file));
  if (!drive.raw_given) {
    if (auto checked = check_format(config.image, drive.file); !checked)
      return std::unexpected(checked.error());
  }
  if (auto checked = check_size(drive, size, warnings); !checked) return std::unexpected(checked.error());
  if (auto locked = lock(drive, config, warnings); !locked) return std::unexpected(locked.error());
  if (config.writes == Writes::ToOverlay) config.overlay = TRY(create_overlay(size));
  return config;
}

/// Two drives of this machine on one image, of which one writes, would lock each other out; say so plainly.
Result<void> check_shared_image(const DriveConfig& config, const std::vector<DriveConfig>& others) {
  struct stat status {};
  if (!config.image || ::fstat(config.image.get(), &status) != 0) return {};
  for (const DriveConfig& other : others) {
    struct stat other_status {};
    if (!other.image || ::fstat(other.image.get(), &other_status) != 0) continue;
    if (status.st_dev != other_status.st_dev || status.st_ino != other_status.st_ino) continue;
    return std::unexpected(Error{"the disk image is in two drives, and written by one:", config.name, 0,
                                 "make a copy, or use readonly=on or snapshot=on for both"});
  }
  return {};
}

}  // namespace

Result<std::vector<DriveConfig>> open_drives(const RunOptions& options, std::vector<std::string>& warnings) {
  std::vector<DriveConfig> drives;
  for (const DriveOptions& drive : options.drives) {
    auto opened = open_drive(drive, options.snapshot, warnings);
    if (!opened && !drive.file.empty()) {
      DriveConfig probe;
      probe.name = drive.file;
      probe.image.reset(::open(drive.file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
      if (auto shared = check_shared_image(probe, drives); !shared) return std::unexpected(shared.error());
    }
    drives.push_back(TRY(std::move(opened)));
  }
  return drives;
}

}  // namespace vitrine::cli
