// Everything a machine is built from: values and open descriptors, never a path. Whoever fills it in
// (cli/) has opened every file, terminal and socket already; whoever builds from it may run where nothing
// can be opened any more. See docs/two-steps.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/descriptor.h"
#include "devices/virtio_types.h"
#include "paging/shadow_policy.h"
#include "translate/host_support.h"

namespace vitrine::machine {

// ---- Character devices: what serial lines, debug console, monitor and gdb server talk to.

/// Takes everything, gives nothing.
struct NullEndpoint {};

/// A byte stream that is simply there: terminal, pty, pipe, file. Descriptors that could block are
/// non-blocking. Either may be invalid: an output file has no input.
struct StreamEndpoint {
  Descriptor input;
  Descriptor output;
  /// Held open only so that a pty without a reader does not report hang-ups without end.
  Descriptor keep_alive;
};

/// A listening socket: one peer at a time, the next one when that one has gone. `connected` is the first
/// peer, if the user wanted the machine to wait for one.
struct ListeningEndpoint {
  Descriptor listener;
  Descriptor connected;
};

/// A connected socket; when the peer closes it, that was all.
struct ConnectedEndpoint {
  Descriptor socket;
};

/// Whether several users share the endpoint through a ConsoleMultiplexer (Ctrl-a c switches between them).
enum class Sharing : uint8_t { Exclusive, Multiplexed };

/// What happens when the outside takes bytes more slowly than the guest sends them.
enum class WhenFull : uint8_t {
  Stall,  ///< The machine waits: nothing is lost in a pipeline.
  Drop,   ///< Bytes are dropped, as on a wire that nobody reads.
};

struct CharacterEndpoint {
  std::string label;        ///< "serial0", "compat_monitor0", or the id that the user gave.
  std::string description;  ///< As `info chardev` shows it: "tcp:127.0.0.1:4444,server".
  std::variant<NullEndpoint, StreamEndpoint, ListeningEndpoint, ConnectedEndpoint> connection;
  Sharing sharing = Sharing::Exclusive;
  WhenFull when_full = WhenFull::Drop;
};

/// Index into MachineConfig::endpoints.
using EndpointIndex = size_t;

// ---- Drives.

enum class DriveInterface : uint8_t { Ide, Floppy, Virtio };
enum class Media : uint8_t { Disk, Cdrom };
enum class Writes : uint8_t {
  ToImage,
  ToOverlay,  ///< Into DriveConfig::overlay, and forgotten at the end (`snapshot=on`).
  Refused,    ///< Read-only.
};

struct DriveConfig {
  std::string id;    ///< "ide0-hd0", "floppy0", or the user's.
  std::string name;  ///< The image's path, for `info block` and messages only.
  DriveInterface interface = DriveInterface::Ide;
  unsigned index =
      0;  ///< IDE: 0–3 (primary master, primary slave, secondary master, secondary slave). Floppy: 0–1.
          ///< Virtio: a number of its own; which device has it, VirtioConfig::drive says.
  Media media = Media::Disk;
  Writes writes = Writes::ToImage;
  Descriptor image;    ///< Invalid: a drive without a medium.
  Descriptor overlay;  ///< With Writes::ToOverlay: an empty unlinked file.
};

// ---- Virtio devices.

enum class Interrupts : uint8_t {
  Pin,       ///< INTx alone.
  Messages,  ///< MSI-X as well, on machines with local APICs.
};

/// One function on the PCI bus, which has them in the order of MachineConfig::virtio.
struct VirtioConfig {
  std::string id;  ///< May be empty.
  devices::VirtioId type = devices::VirtioId::Block;
  devices::VirtioInterfaces interfaces = devices::VirtioInterfaces::Both;
  Interrupts interrupts = Interrupts::Messages;
  size_t drive = 0;                            ///< Block: index into MachineConfig::drives.
  std::string serial = {};                     ///< Block; empty: one is made up.
  bool deflate_on_out_of_memory = false;       ///< Balloon.
  bool free_page_reporting = false;            ///< Balloon.
  std::optional<EndpointIndex> endpoint = {};  ///< Console; none: nobody is at the other end.
};

// ---- Firmware and kernel.

struct RomFile {
  std::string name;
  Descriptor file;  ///< Invalid: none.
};

struct BootModule {
  std::string name;          ///< The file's name as given.
  std::string command_line;  ///< Multiboot: name and arguments. Unused otherwise.
  Descriptor file;
};

struct KernelConfig {
  std::string name;
  Descriptor file;
  std::string command_line;         ///< `-append`, nothing added.
  std::vector<BootModule> modules;  ///< `-initrd`: one for Linux, any number for multiboot.
};

/// A file for the guest's firmware configuration device (`-fw_cfg`).
struct FirmwareConfigFile {
  std::string name;
  std::vector<uint8_t> contents;
};

struct BootConfig {
  std::string order = "cad";        ///< a, b: floppies; c: first disk; d: first CD-ROM. First to last.
  std::optional<std::string> once;  ///< Order for the first boot only; from the first reset on, `order`.
  bool menu = false;                ///< The firmware shows its boot menu…
  unsigned menu_wait_ms = 0;        ///< …for so long; 0: its own default.
  bool strict = false;              ///< Only what `order` names.
};

// ---- The rest.

enum class MachineType : uint8_t { Pc, IsaPc };
enum class EngineKind : uint8_t {
  Interpret,     ///< Instruction by instruction: the reference.
  Trap,          ///< Natively; privileged instructions fault and are emulated.
  Translate,     ///< Natively; privileged instructions are translated to something that does not fault.
  Lockstep,      ///< Interpret and Translate beside each other, compared; one vCPU, ClockKind::Virtual.
  LockstepTrap,  ///< Interpret and Trap in the same way.
};
[[nodiscard]] constexpr bool in_lockstep(EngineKind kind) {
  return kind == EngineKind::Lockstep || kind == EngineKind::LockstepTrap;
}
/// What becomes of a machine when the host lacks something that its native engine needs.
enum class WithoutEngine : uint8_t {
  Refuse,
  Interpret,  ///< With a message.
};
enum class VgaKind : uint8_t { None, Standard };
enum class ClockKind : uint8_t {
  Real,     ///< Guest time runs with the host's, and stands still while the machine is paused.
  Virtual,  ///< Guest time is a function of the instructions executed: the same on every run.
};

struct ClockConfig {
  ClockKind kind = ClockKind::Real;
  uint64_t nanoseconds_per_instruction = 10;  ///< ClockKind::Virtual.
};

/// A port that ends the process with status (value << 1) | 1 when the guest writes to it.
struct DebugExitConfig {
  uint16_t port = 0x501;
  uint16_t count = 2;  ///< Ports from `port` on.
};

struct DebugConsoleConfig {
  uint16_t port = 0xe9;
  EndpointIndex endpoint = 0;
};

/// `-d`. Bits are 1 << LogItem, see event_log.h.
struct LogConfig {
  uint32_t items = 0;
  Descriptor output;  ///< Where lines go; invalid: standard error.
};

/// `--stats`: what is reported at the end.
struct StatisticsConfig {
  enum class Form : uint8_t { None, Table, Json };
  Form form = Form::None;
  Descriptor output;  ///< Invalid: standard error.
};

struct MachineConfig {
  std::string name;  ///< `-name`; may be empty.
  MachineType type = MachineType::Pc;
  EngineKind engine = EngineKind::Interpret;
  WithoutEngine without_engine = WithoutEngine::Refuse;
  paging::ShadowChoice shadow;  ///< Of native engines.
  StatisticsConfig statistics;
  std::string cpu_model = "max";  ///< As cpu::CpuModel::create takes it; checked already.
  unsigned cpus = 1;
  uint64_t memory_size = uint64_t{128} << 20;  ///< In bytes; whole pages.
  bool acpi = true;
  VgaKind vga = VgaKind::Standard;

  RomFile bios;
  RomFile vga_bios;
  std::optional<KernelConfig> kernel;
  /// The firmware shows its screen on the first serial port, too (`-nographic`).
  bool firmware_on_serial = false;
  /// `-kernel` with a bzImage: unpack its payload here, so that the guest need not.
  bool unpack_kernel = true;
  std::vector<FirmwareConfigFile> firmware_files;
  BootConfig boot;

  std::vector<DriveConfig> drives;
  std::vector<VirtioConfig> virtio;  ///< Needs MachineType::Pc.

  std::vector<CharacterEndpoint> endpoints;
  std::vector<std::optional<EndpointIndex>> serial_ports;  ///< COM1…COM4; an absent one is no port at all.
  std::vector<DebugConsoleConfig> debug_consoles;
  std::optional<EndpointIndex> monitor;
  std::optional<EndpointIndex> gdb;

  std::optional<DebugExitConfig> debug_exit;
  ClockConfig clock;
  int64_t rtc_start =
      0;  ///< What the guest's real-time clock shows at power-on, in seconds since 1970 as if UTC.

  bool start_paused = false;  ///< -S
  bool no_reboot = false;     ///< A reset ends the machine.
  bool no_shutdown = false;   ///< Power-off pauses the machine.

  /// What the host allows a native engine. Nothing: it is asked when the engine is made.
  std::optional<translate::HostSupport> host;
  /// `info sandbox`: how this process is confined; lines, each ended.
  std::string confinement;

  LogConfig log;
  /// signalfd(2) of SIGINT, SIGTERM and SIGHUP, which ask for an orderly end, and SIGUSR1, which asks for
  /// statistics; blocked in every thread. May be invalid.
  Descriptor signals;
};

}  // namespace vitrine::machine
