// Options for drives. Whether two want the same place is decided when all are known: see open_drives.cc.

#include <fmt/format.h>

#include <utility>

#include "cli/option_handlers.h"
#include "cli/property_list.h"
#include "cli/token_argument.h"

namespace vitrine::cli {
namespace {

using machine::DriveInterface;
using machine::Media;

Result<void> add_simple_drive(RunOptions& options, std::string_view option, std::string_view file,
                              DriveInterface interface, unsigned index, Media media) {
  if (file.empty()) return std::unexpected(Error{fmt::format("{} names no file", option), ""});
  DriveOptions drive;
  drive.option = option;
  drive.file = file;
  drive.interface = interface;
  drive.index = index;
  drive.media = media;
  options.drives.push_back(std::move(drive));
  return {};
}

Result<void> set_interface(DriveOptions& drive, PropertyList& properties) {
  const std::string name = properties.take("if").value_or("ide");
  if (name == "ide") return {};
  if (name == "floppy") {
    drive.interface = DriveInterface::Floppy;
    return {};
  }
  if (name == "virtio" || name == "none") {
    drive.interface = DriveInterface::Virtio;
    drive.for_device = name == "none";
    return {};
  }
  return std::unexpected(
      Error{"-drive: not supported: if =", name, 0, "there are ide, floppy, virtio and none"});
}

Result<void> set_media(DriveOptions& drive, PropertyList& properties) {
  const std::string name = properties.take("media").value_or("disk");
  if (name == "cdrom") {
    drive.media = Media::Cdrom;
  } else if (name != "disk") {
    return std::unexpected(Error{"-drive: media is disk or cdrom, not", name});
  }
  if (drive.interface == DriveInterface::Floppy && drive.media == Media::Cdrom) {
    return std::unexpected(Error{"-drive: a floppy drive takes no CD-ROM", drive.file});
  }
  if (drive.interface == DriveInterface::Virtio && drive.media == Media::Cdrom) {
    return std::unexpected(Error{"-drive: a virtio disk is no CD-ROM drive", drive.file, 0,
                                 "use if=ide, or readonly=on for a disk that is not written to"});
  }
  return {};
}

Result<void> set_format(DriveOptions& drive, PropertyList& properties) {
  const auto format = properties.take("format");
  if (!format) return {};
  if (*format != "raw") {
    return std::unexpected(Error{"-drive: not supported: format =", *format, 0,
                                 "only raw images: qemu-img convert -O raw OLD NEW makes one"});
  }
  drive.raw_given = true;
  return {};
}

Result<void> set_index(DriveOptions& drive, PropertyList& properties) {
  // Virtio disks are in the order in which they are named; a number only keeps others from having it.
  constexpr uint64_t kMostVirtio = 28;
  const uint64_t most = drive.interface == DriveInterface::Floppy   ? 1
                        : drive.interface == DriveInterface::Virtio ? kMostVirtio
                                                                    : 3;
  const auto index = TRY(properties.take_number("index", most));
  const auto bus = TRY(properties.take_number("bus", 1));
  const auto unit = TRY(properties.take_number("unit", 1));
  if (index && (bus || unit))
    return std::unexpected(Error{"-drive: index and bus/unit exclude each other", drive.file});
  if (index) {
    drive.index = static_cast<unsigned>(*index);
  } else if (bus || unit) {
    if (drive.interface == DriveInterface::Floppy && bus.value_or(0) != 0) {
      return std::unexpected(Error{"-drive: there is one floppy controller, bus 0", drive.file});
    }
    drive.index = static_cast<unsigned>(bus.value_or(0) * 2 + unit.value_or(0));
  }
  return {};
}

/// Properties that say how the host should do what we do in one way only: accepted where that way is meant.
Result<void> check_host_properties(PropertyList& properties) {
  if (const auto cache = properties.take("cache")) {
    if (*cache != "writeback" && *cache != "none" && *cache != "writethrough" && *cache != "unsafe" &&
        *cache != "directsync") {
      return std::unexpected(Error{"-drive: there is no cache mode", *cache});
    }
    if (*cache != "writeback") {
      return std::unexpected(
          Error{"-drive: not supported: cache =", *cache, 0, "images use the host's page cache: writeback"});
    }
  }
  if (const auto aio = properties.take("aio"); aio && *aio != "threads") {
    return std::unexpected(Error{"-drive: not supported: aio =", *aio});
  }
  return {};
}

}  // namespace

Result<void> option_drive(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-drive", argument));
  DriveOptions drive;
  drive.option = "-drive";
  drive.file = properties.take("file").value_or("");
  drive.id = properties.take("id").value_or("");
  if (auto set = set_interface(drive, properties); !set) return set;
  if (auto set = set_media(drive, properties); !set) return set;
  if (auto set = set_format(drive, properties); !set) return set;
  if (auto set = set_index(drive, properties); !set) return set;
  if (auto set = check_host_properties(properties); !set) return set;
  drive.snapshot = TRY(properties.take_switch("snapshot"));
  for (const std::string_view name : {"readonly", "read-only"}) {
    drive.read_only |= TRY(properties.take_switch(name)).value_or(false);
  }
  if (auto left = properties.nothing_left(
          "file, if, index, bus, unit, media, format, snapshot, readonly, id, cache, aio");
      !left) {
    return left;
  }
  if (drive.file.empty() && drive.interface != DriveInterface::Floppy && drive.media == Media::Disk) {
    return std::unexpected(Error{"-drive: a hard disk needs file=", ""});
  }
  if (drive.for_device && drive.id.empty()) {
    return std::unexpected(Error{"-drive: if=none needs id=, which a -device names", drive.file});
  }
  if (drive.read_only && drive.interface == DriveInterface::Ide && drive.media == Media::Disk &&
      !drive.snapshot.value_or(false)) {
    options.notes.push_back(
        fmt::format("'{}' is read-only, which an IDE disk cannot tell its guest: writes will fail",
                    is_token_argument(drive.file) ? "token" : drive.file));
  }
  if (drive.interface == DriveInterface::Virtio && !drive.for_device) {
    VirtioOptions disk;
    disk.option = "-drive";
    disk.drive = options.drives.size();
    options.virtio.push_back(std::move(disk));
  }
  options.drives.push_back(std::move(drive));
  return {};
}

Result<void> option_hda(RunOptions& options, std::string_view argument) {
  return add_simple_drive(options, "-hda", argument, DriveInterface::Ide, 0, Media::Disk);
}
Result<void> option_hdb(RunOptions& options, std::string_view argument) {
  return add_simple_drive(options, "-hdb", argument, DriveInterface::Ide, 1, Media::Disk);
}
Result<void> option_hdc(RunOptions& options, std::string_view argument) {
  return add_simple_drive(options, "-hdc", argument, DriveInterface::Ide, 2, Media::Disk);
}
Result<void> option_hdd(RunOptions& options, std::string_view argument) {
  return add_simple_drive(options, "-hdd", argument, DriveInterface::Ide, 3, Media::Disk);
}
Result<void> option_cdrom(RunOptions& options, std::string_view argument) {
  return add_simple_drive(options, "-cdrom", argument, DriveInterface::Ide, 2, Media::Cdrom);
}
Result<void> option_fda(RunOptions& options, std::string_view argument) {
  return add_simple_drive(options, "-fda", argument, DriveInterface::Floppy, 0, Media::Disk);
}
Result<void> option_fdb(RunOptions& options, std::string_view argument) {
  return add_simple_drive(options, "-fdb", argument, DriveInterface::Floppy, 1, Media::Disk);
}

Result<void> option_snapshot(RunOptions& options, std::string_view) {
  options.snapshot = true;
  return {};
}

}  // namespace vitrine::cli
