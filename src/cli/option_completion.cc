// What follows from all options together: places of drives, default devices, contradictions.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cli/options.h"

namespace vitrine::cli {
namespace {

using Kind = CharacterOptions::Kind;
using machine::DriveInterface;
using machine::Media;

constexpr unsigned kIdePlaces = 4;
constexpr unsigned kFloppyPlaces = 2;
constexpr unsigned kVirtioPlaces = 29;
constexpr unsigned kCdromPlace = 2;

std::string place_name(DriveInterface interface, unsigned index) {
  static constexpr std::array<std::string_view, kIdePlaces> kNames = {"primary master", "primary slave",
                                                                      "secondary master", "secondary slave"};
  if (interface == DriveInterface::Floppy) return fmt::format("floppy index {}", index);
  if (interface == DriveInterface::Virtio) return fmt::format("virtio index {}", index);
  return fmt::format("IDE index {}, the {}", index, kNames[index]);
}

const DriveOptions* drive_at(const RunOptions& options, DriveInterface interface, unsigned index) {
  for (const DriveOptions& drive : options.drives) {
    if (drive.interface == interface && drive.index == index) return &drive;
  }
  return nullptr;
}

Result<void> check_places_taken_once(const RunOptions& options) {
  for (const DriveOptions& drive : options.drives) {
    if (!drive.index) continue;
    const DriveOptions* first = drive_at(options, drive.interface, *drive.index);
    if (first == &drive) continue;
    return std::unexpected(Error{fmt::format("{} '{}' and {}", first->option, first->file, drive.option),
                                 drive.file, 0,
                                 fmt::format("both want {}", place_name(drive.interface, *drive.index))});
  }
  return {};
}

unsigned places_of(DriveInterface interface) {
  switch (interface) {
    case DriveInterface::Ide: return kIdePlaces;
    case DriveInterface::Floppy: return kFloppyPlaces;
    case DriveInterface::Virtio: return kVirtioPlaces;
  }
  return 0;
}

Result<void> place_drives(RunOptions& options) {
  if (auto once = check_places_taken_once(options); !once) return once;
  for (DriveOptions& drive : options.drives) {
    const unsigned places = places_of(drive.interface);
    for (unsigned index = 0; index < places && !drive.index; ++index) {
      if (drive_at(options, drive.interface, index) == nullptr) drive.index = index;
    }
    if (!drive.index) {
      return std::unexpected(Error{"no place is left for the drive", drive.file, 0,
                                   fmt::format("there are {} of its kind", places)});
    }
  }
  return {};
}

void add_default_drives(RunOptions& options) {
  const auto add = [&](DriveInterface interface, unsigned index, Media media) {
    DriveOptions drive;
    drive.option = "the default drive";
    drive.interface = interface;
    drive.index = index;
    drive.media = media;
    options.drives.push_back(std::move(drive));
  };
  const bool has_cdrom =
      std::ranges::any_of(options.drives, [](const auto& d) { return d.media == Media::Cdrom; });
  const bool has_floppy = std::ranges::any_of(
      options.drives, [](const auto& d) { return d.interface == DriveInterface::Floppy; });
  if (!has_cdrom && drive_at(options, DriveInterface::Ide, kCdromPlace) == nullptr) {
    add(DriveInterface::Ide, kCdromPlace, Media::Cdrom);
  }
  if (!has_floppy) add(DriveInterface::Floppy, 0, Media::Disk);
}

/// The if=none drive that a device names, which no other device may have.
Result<size_t> find_drive(const RunOptions& options, const VirtioOptions& device) {
  for (const VirtioOptions& other : options.virtio) {
    if (&other == &device) break;
    if (other.drive_id != device.drive_id) continue;
    return std::unexpected(Error{"the -drive is in two devices:", device.drive_id});
  }
  for (size_t i = 0; i < options.drives.size(); ++i) {
    if (options.drives[i].for_device && options.drives[i].id == device.drive_id) return i;
  }
  return std::unexpected(
      Error{fmt::format("{}: no -drive with if=none has the id", device.option), device.drive_id});
}

Result<void> connect_virtio(RunOptions& options) {
  if (!options.virtio.empty() && options.type == machine::MachineType::IsaPc) {
    return std::unexpected(
        Error{"virtio devices need a PCI bus, which -machine isapc has not:", options.virtio[0].option});
  }
  if (options.virtio.size() > kVirtioPlaces) {
    return std::unexpected(Error{"too many virtio devices:", fmt::format("{}", options.virtio.size()), 0,
                                 fmt::format("the PCI bus has room for {}", kVirtioPlaces)});
  }
  for (VirtioOptions& device : options.virtio) {
    if (!device.drive_id.empty()) device.drive = TRY(find_drive(options, device));
  }
  for (const DriveOptions& drive : options.drives) {
    const auto names = [&](const VirtioOptions& device) { return device.drive_id == drive.id; };
    if (drive.for_device && std::ranges::none_of(options.virtio, names)) {
      return std::unexpected(Error{"-drive with if=none, but no -device has drive =", drive.id, 0,
                                   "add -device virtio-blk-pci,drive=" + drive.id});
    }
  }
  return {};
}

/// Everything that a character device is used for, in the order of the command line's kinds.
std::vector<CharacterOptions*> character_users(RunOptions& options) {
  std::vector<CharacterOptions*> users;
  users.reserve(options.serials.size() + options.debug_consoles.size() + options.virtio.size() + 2);
  for (CharacterOptions& serial : options.serials) users.push_back(&serial);
  for (DebugConsoleOptions& console : options.debug_consoles) users.push_back(&console.device);
  for (VirtioOptions& device : options.virtio) {
    if (device.console) users.push_back(&*device.console);
  }
  if (options.monitor) users.push_back(&*options.monitor);
  if (options.gdb) users.push_back(&*options.gdb);
  return users;
}

const CharacterOptions* find_chardev(const RunOptions& options, const std::string& id) {
  const auto it = std::ranges::find(options.chardevs, id, &CharacterOptions::id);
  return it == options.chardevs.end() ? nullptr : &*it;
}

Result<void> check_references(RunOptions& options) {
  std::vector<std::string> taken;
  for (const CharacterOptions* user : character_users(options)) {
    if (user->kind != Kind::Reference) continue;
    const CharacterOptions* chardev = find_chardev(options, user->id);
    if (chardev == nullptr) {
      return std::unexpected(Error{"no -chardev has the id", user->id});
    }
    if (!chardev->multiplexed && std::ranges::find(taken, user->id) != taken.end()) {
      return std::unexpected(
          Error{"the -chardev is used twice:", user->id, 0, "mux=on lets several share it"});
    }
    taken.push_back(user->id);
  }
  return {};
}

unsigned count_stdio(RunOptions& options) {
  unsigned count = 0;
  for (const CharacterOptions* user : character_users(options)) count += user->kind == Kind::Stdio ? 1 : 0;
  for (const CharacterOptions& chardev : options.chardevs) count += chardev.kind == Kind::Stdio ? 1 : 0;
  return count;
}

bool has_shared_monitor(RunOptions& options) {
  return std::ranges::any_of(character_users(options),
                             [](const CharacterOptions* user) { return user->multiplexed; });
}

bool goes_nowhere(const CharacterOptions& device) {
  return device.kind == Kind::None || device.kind == Kind::Null;
}

Result<void> check_consoles(RunOptions& options) {
  if (count_stdio(options) > 1) {
    return std::unexpected(Error{"only one device can have the terminal (stdio)", "", 0,
                                 "mon:stdio shares it between a serial line and the monitor"});
  }
  if (options.monitor && !goes_nowhere(*options.monitor) && has_shared_monitor(options)) {
    return std::unexpected(
        Error{"there is one monitor, but both mon: and -monitor ask for it:", options.monitor->text});
  }
  return {};
}

CharacterOptions device_of(Kind kind, std::string text) {
  CharacterOptions device;
  device.kind = kind;
  device.text = std::move(text);
  return device;
}

/// Without a window, whoever says nothing gets serial line and monitor on the terminal, as -nographic says
/// explicitly.
void add_default_consoles(RunOptions& options) {
  const bool terminal_free = count_stdio(options) == 0 && !options.display_none;
  options.firmware_on_serial |= options.serials.empty() && terminal_free;
  const bool monitor_free = !options.monitor && !has_shared_monitor(options);
  if (options.serials.empty()) {
    CharacterOptions serial =
        device_of(terminal_free ? Kind::Stdio : Kind::Null, terminal_free ? "stdio" : "null");
    if (terminal_free && monitor_free) {
      serial.text = "mon:stdio";
      serial.multiplexed = true;
      serial.keep_signals = false;
    }
    options.serials.push_back(std::move(serial));
  } else if (terminal_free && monitor_free) {
    options.monitor = device_of(Kind::Stdio, "stdio");
  }
}

Result<void> check_rtc(RunOptions& options) {
  if (options.rtc.source == RtcOptions::Source::Guest) return {};
  if (options.clock.kind == machine::ClockKind::Virtual) {
    return std::unexpected(Error{"-rtc: not supported: clock =", "host", 0,
                                 "with --clock=virtual all clocks of the guest show virtual time"});
  }
  options.notes.emplace_back("-rtc clock=host: the clock stands still while the machine is paused");
  return {};
}

void note_shadow(RunOptions& options) {
  if (options.engine != machine::EngineKind::Interpret ||
      (!options.shadow && !options.views && !options.fills))
    return;
  options.notes.emplace_back("--shadow, --views and --fills: --engine interpret has no shadow page tables");
}

}  // namespace

Result<void> complete_run_options(RunOptions& options) {
  if (options.kernel.empty() && !options.initrd.empty())
    return std::unexpected(Error{"-initrd needs -kernel", ""});
  if (options.kernel.empty() && !options.kernel_command_line.empty()) {
    return std::unexpected(Error{"-append needs -kernel", ""});
  }
  if (auto checked = check_rtc(options); !checked) return checked;
  if (auto placed = place_drives(options); !placed) return placed;
  if (auto connected = connect_virtio(options); !connected) return connected;
  if (auto checked = check_references(options); !checked) return checked;
  if (auto checked = check_consoles(options); !checked) return checked;
  note_shadow(options);
  options.firmware_on_serial = options.no_graphic;
  if (!options.no_defaults) {
    add_default_drives(options);
    add_default_consoles(options);
  }
  if (!options.vga) options.vga = options.no_defaults ? machine::VgaKind::None : machine::VgaKind::Standard;
  for (DebugConsoleOptions& console : options.debug_consoles) {
    if (!console.port) console.port = options.debug_console_port.value_or(0xe9);
  }
  return {};
}

}  // namespace vitrine::cli
