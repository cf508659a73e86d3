// What the command line asked for, as plain values: nothing is opened, looked up or checked against the host
// yet. open.h turns it into open descriptors.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machine/machine_config.h"

namespace vitrine::cli {

/// What a character device leads to, before it is opened.
struct CharacterOptions {
  enum class Kind : uint8_t { None, Null, Stdio, File, Device, Pty, Tcp, Unix, Reference };
  enum class Role : uint8_t { Client, Server };

  Kind kind = Kind::Null;
  std::string id;    ///< -chardev's; for Reference: which one.
  std::string path;  ///< File, Device, Unix.
  std::string host;  ///< Tcp; empty: the local host.
  std::string port;
  Role role = Role::Client;
  bool wait = true;          ///< Server: the machine starts when somebody has connected.
  bool append = false;       ///< File: keep what it holds.
  bool multiplexed = false;  ///< mon:, mux=on
  bool keep_signals = true;  ///< Stdio: Ctrl-C ends Vitrine instead of reaching the guest.
  std::string text;          ///< As given, for messages.
};

struct DriveOptions {
  std::string option;  ///< "-drive", "-hda", for messages.
  std::string id;
  std::string file;  ///< Empty: no medium.
  machine::DriveInterface interface = machine::DriveInterface::Ide;
  std::optional<unsigned> index;
  machine::Media media = machine::Media::Disk;
  std::optional<bool> snapshot;
  bool read_only = false;
  bool raw_given = false;   ///< format=raw: do not look for other formats.
  bool for_device = false;  ///< if=none: some -device names its id.
};

/// A virtio device, in the order of the command line.
struct VirtioOptions {
  std::string option;  ///< "-device virtio-blk-pci", "-drive", for messages.
  std::string id;
  devices::VirtioId type = devices::VirtioId::Block;
  devices::VirtioInterfaces interfaces = devices::VirtioInterfaces::Both;
  machine::Interrupts interrupts = machine::Interrupts::Messages;
  std::string drive_id;  ///< Block: the -drive's with if=none…
  size_t drive = 0;      ///< …or, if empty, and when all is complete: index into RunOptions::drives.
  std::string serial;
  std::optional<CharacterOptions> console;  ///< Console.
  bool deflate_on_out_of_memory = false;    ///< Balloon.
  bool free_page_reporting = false;         ///< Balloon.
};

struct ModuleOptions {
  std::string file;
  std::string command_line;
};

struct FirmwareFileOptions {
  std::string name;
  std::string file;  ///< Or, if empty:
  std::string contents;
};

struct RtcOptions {
  enum class Base : uint8_t { Utc, LocalTime, Date };
  enum class Source : uint8_t { Guest, Host };
  Base base = Base::Utc;
  Source source = Source::Guest;  ///< `clock=`. The host's is guest time as well, unless that is virtual.
  int64_t date = 0;               ///< Base::Date: seconds since 1970.
};

struct DebugConsoleOptions {
  std::optional<uint16_t> port;  ///< 0xe9 unless -global says otherwise.
  CharacterOptions device;
};

struct StatisticsOptions {
  machine::StatisticsConfig::Form form = machine::StatisticsConfig::Form::None;
  std::string file;  ///< Empty: standard error.
};

struct RunOptions {
  /// The user asked for this text instead of a machine (`-cpu help`).
  std::optional<std::string> information;
  /// Remarks on options that are accepted but mean less than elsewhere.
  std::vector<std::string> notes;

  std::string name;
  machine::MachineType type = machine::MachineType::Pc;
  std::optional<machine::EngineKind> engine;  ///< None: translated, where the host can.
  std::optional<paging::ShadowPolicy> shadow;
  std::optional<paging::ShadowViews> views;
  std::optional<paging::ShadowFills> fills;
  StatisticsOptions statistics;
  std::string cpu_model = "max";
  unsigned cpus = 1;
  uint64_t memory_size = uint64_t{128} << 20;
  bool acpi = true;
  std::optional<machine::VgaKind> vga;

  std::vector<std::string> firmware_directories;  ///< -L
  std::string bios;
  std::string kernel;
  std::string kernel_command_line;
  bool unpack_kernel = true;
  std::string initrd_argument;  ///< -initrd as given: one file may have commas and spaces in its name.
  std::vector<ModuleOptions> initrd;
  std::vector<FirmwareFileOptions> firmware_files;
  machine::BootConfig boot;

  std::vector<DriveOptions> drives;
  bool snapshot = false;
  std::vector<VirtioOptions> virtio;

  std::vector<CharacterOptions> chardevs;
  std::vector<CharacterOptions> serials;
  std::vector<DebugConsoleOptions> debug_consoles;
  std::optional<uint16_t> debug_console_port;  ///< -global isa-debugcon.iobase
  std::optional<CharacterOptions> monitor;
  std::optional<CharacterOptions> gdb;

  std::optional<machine::DebugExitConfig> debug_exit;
  machine::ClockConfig clock;
  RtcOptions rtc;

  bool no_graphic = false;    ///< -nographic
  bool display_none = false;  ///< -display none
  bool no_defaults = false;
  bool firmware_on_serial = false;  ///< Follows from the others: the terminal is all that there is to see.
  bool no_reboot = false;
  bool no_shutdown = false;
  bool start_paused = false;
  bool sandbox = true;
  std::vector<std::string> file_directories;  ///< --files

  uint32_t log_items = 0;
  std::string log_file;
  std::string pid_file;
};

/// What an option is for; --help is grouped so.
enum class OptionGroup : uint8_t {
  Machine,
  Boot,
  Drives,
  Characters,
  Time,
  Running,
  Debugging,
  Compatibility
};

struct Option {
  std::string_view name;      ///< Without the dash.
  std::string_view argument;  ///< How help shows the argument; empty: the option takes none.
  OptionGroup group;
  std::string_view help;
  Result<void> (*handler)(RunOptions& options, std::string_view argument);
};

/// Every option that is supported, one row each.
[[nodiscard]] std::span<const Option> run_options();

/// Reads the arguments (without the program's name). QEMU's style: one dash or two, the argument in the next
/// word;
/// `--option=argument` too. A word without a dash is the first hard disk. An Error is the user's (exit status
/// 2).
[[nodiscard]] Result<RunOptions> parse_run_options(std::span<const std::string_view> arguments);

/// What can be said only when all options are known: gives every drive its place and every default device its
/// endpoint, and refuses contradictions. parse_run_options() has called it.
[[nodiscard]] Result<void> complete_run_options(RunOptions& options);

/// The text of `vitrine run --help`.
[[nodiscard]] std::string run_help();

}  // namespace vitrine::cli
