#include "cli/open.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "base/host_memory.h"
#include "cli/open_characters.h"
#include "cli/open_drives.h"

namespace vitrine::cli {
namespace {

constexpr size_t kLargestFirmwareFile = size_t{16} << 20;

std::vector<std::string> firmware_directories(const RunOptions& options) {
  std::vector<std::string> directories = options.firmware_directories;
  if (const char* directory = std::getenv("VITRINE_FIRMWARE"); directory != nullptr && *directory != '\0') {
    directories.emplace_back(directory);
  }
  for (const char* directory : {"/usr/share/seabios", "/usr/share/qemu", "/usr/local/share/qemu"}) {
    directories.emplace_back(directory);
  }
  return directories;
}

/// A file to be read from start to end: not a directory, not a pipe.
Result<Descriptor> open_to_read(std::string_view what, const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return std::unexpected(error_from_errno(fmt::format("cannot open {}", what), path));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    return std::unexpected(error_from_errno(fmt::format("cannot examine {}", what), path));
  }
  if (!S_ISREG(status.st_mode)) {
    return std::unexpected(Error{fmt::format("cannot use {}", what), path, 0,
                                 S_ISDIR(status.st_mode) ? "it is a directory" : "it is not a regular file"});
  }
  if (status.st_size == 0)
    return std::unexpected(Error{fmt::format("cannot use {}", what), path, 0, "it is empty"});
  return file;
}

Result<machine::RomFile> find_firmware(const RunOptions& options, const std::string& name) {
  for (const std::string& directory : firmware_directories(options)) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (::access(path.c_str(), F_OK) != 0) continue;
    Descriptor file = TRY(open_to_read("the firmware", path));
    return machine::RomFile{path, std::move(file)};
  }
  return std::unexpected(
      Error{"cannot find the firmware", name, 0,
            "install the package 'seabios', or say where it is with -L DIR or VITRINE_FIRMWARE"});
}

Result<void> open_firmware(const RunOptions& options, machine::MachineConfig& config) {
  if (options.bios == "none") {
    // The kernel starts by itself, and nobody would run the display adapter's BIOS.
    return {};
  }
  if (options.bios.empty()) {
    // The larger build of SeaBIOS needs the PCI host bridge to make its lower half visible.
    const bool pci = config.type == machine::MachineType::Pc;
    config.bios = TRY(find_firmware(options, pci ? "bios-256k.bin" : "bios.bin"));
  } else if (options.bios.find('/') != std::string::npos || ::access(options.bios.c_str(), F_OK) == 0) {
    Descriptor file = TRY(open_to_read("the firmware", options.bios));
    config.bios = {options.bios, std::move(file)};
  } else {
    config.bios = TRY(find_firmware(options, options.bios));
  }
  if (config.vga != machine::VgaKind::None)
    config.vga_bios = TRY(find_firmware(options, "vgabios-stdvga.bin"));
  return {};
}

// The name of a Linux initrd is taken as it is, commas and spaces included; a list of modules is no file's
// name.
std::vector<ModuleOptions> modules_of(const RunOptions& options) {
  const std::string& whole = options.initrd_argument;
  if (options.initrd.size() == 1 && options.initrd[0].file == whole) return options.initrd;
  if (!whole.empty() && ::access(whole.c_str(), F_OK) == 0) return {{whole, whole}};
  return options.initrd;
}

Result<void> open_kernel(const RunOptions& options, machine::MachineConfig& config) {
  if (options.kernel.empty()) return {};
  machine::KernelConfig kernel;
  kernel.name = options.kernel;
  kernel.file = TRY(open_to_read("the kernel", options.kernel));
  kernel.command_line = options.kernel_command_line;
  for (const ModuleOptions& module : modules_of(options)) {
    Descriptor file = TRY(open_to_read("the initial RAM disk or module", module.file));
    kernel.modules.push_back({module.file, module.command_line, std::move(file)});
  }
  config.kernel = std::move(kernel);
  return {};
}

Result<std::vector<uint8_t>> read_file(const std::string& path) {
  const Descriptor file = TRY(open_to_read("the file for the firmware", path));
  std::vector<uint8_t> contents;
  while (contents.size() <= kLargestFirmwareFile) {
    const size_t old_size = contents.size();
    contents.resize(old_size + 65536);
    const ssize_t count = ::read(file.get(), contents.data() + old_size, 65536);
    contents.resize(old_size + static_cast<size_t>(count > 0 ? count : 0));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(error_from_errno("cannot read the file for the firmware", path));
    if (count == 0) return contents;
  }
  return std::unexpected(Error{"the file for the firmware is too large:", path, 0, "16 MiB at most"});
}

Result<void> read_firmware_files(const RunOptions& options, machine::MachineConfig& config) {
  for (const FirmwareFileOptions& file : options.firmware_files) {
    std::vector<uint8_t> contents(file.contents.begin(), file.contents.end());
    if (!file.file.empty()) contents = TRY(read_file(file.file));
    config.firmware_files.push_back({file.name, std::move(contents)});
  }
  return {};
}

Result<void> check_memory(uint64_t size) {
  struct sysinfo host {};
  ::sysinfo(&host);
  const uint64_t there = (uint64_t{host.totalram} + host.totalswap) * host.mem_unit;
  if (size > there) {
    return std::unexpected(Error{"-m: more memory than the host has:", fmt::format("{}M", size >> 20), 0,
                                 fmt::format("it has {}M", there >> 20)});
  }
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur) {
    return std::unexpected(
        Error{"-m: more memory than this process may have:", fmt::format("{}M", size >> 20), 0,
              fmt::format("ulimit -v is {}M", limit.rlim_cur >> 20)});
  }
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur) {
    return std::unexpected(
        Error{"-m: guest memory is a file in memory, and larger than this process may write:",
              fmt::format("{}M", size >> 20), 0, fmt::format("ulimit -f is {}M", limit.rlim_cur >> 20)});
  }
  return memory_can_be_promised(size);
}

int64_t rtc_start(const RtcOptions& rtc) {
  if (rtc.base == RtcOptions::Base::Date) return rtc.date;
  const std::time_t now = ::time(nullptr);
  if (rtc.base == RtcOptions::Base::Utc) return now;
  std::tm local{};
  ::localtime_r(&now, &local);
  return now + local.tm_gmtoff;
}

Result<Descriptor> create_output(std::string_view what, const std::string& path) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
  if (!file) return std::unexpected(error_from_errno(fmt::format("cannot create {}", what), path));
  return file;
}

Result<TemporaryFile> write_pid_file(const std::string& path) {
  const Descriptor file = TRY(create_output("the pid file", path));
  const std::string text = fmt::format("{}\n", ::getpid());
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return std::unexpected(error_from_errno("cannot write the pid file", path));
  }
  return TemporaryFile(path);
}

// In virtual time two runs must be the same: the host's random numbers are only for a guest that was promised
// them by name.
std::string cpu_model(const RunOptions& options) {
  if (options.clock.kind != machine::ClockKind::Virtual) return options.cpu_model;
  const size_t name = std::min(options.cpu_model.find(','), options.cpu_model.size());
  return options.cpu_model.substr(0, name) + ",-rdrand,-rdseed" + options.cpu_model.substr(name);
}

void copy_values(const RunOptions& options, machine::MachineConfig& config) {
  config.name = options.name;
  config.type = options.type;
  config.engine = options.engine.value_or(machine::EngineKind::Translate);
  config.without_engine = options.engine ? machine::WithoutEngine::Refuse : machine::WithoutEngine::Interpret;
  config.shadow.policy = options.shadow.value_or(config.shadow.policy);
  config.shadow.views = options.views.value_or(config.shadow.views);
  config.shadow.fills = options.fills;
  config.statistics.form = options.statistics.form;
  config.cpu_model = cpu_model(options);
  config.cpus = options.cpus;
  config.memory_size = options.memory_size;
  config.acpi = options.acpi;
  config.vga = options.vga.value_or(machine::VgaKind::Standard);
  config.boot = options.boot;
  config.firmware_on_serial = options.firmware_on_serial;
  config.unpack_kernel = options.unpack_kernel;
  config.debug_exit = options.debug_exit;
  config.clock = options.clock;
  config.rtc_start = rtc_start(options.rtc);
  config.start_paused = options.start_paused;
  config.no_reboot = options.no_reboot;
  config.no_shutdown = options.no_shutdown;
  config.log.items = options.log_items;
}

/// Asked here, where files of /proc can be read.
translate::HostSupport host_support(uint64_t memory_size) {
  translate::HostSupport host = translate::probe_host();
  // Guest memory is mapped before the engine looks.
  if (host.addresses != UINT64_MAX) host.addresses -= std::min(host.addresses, memory_size);
  return host;
}

}  // namespace

TemporaryFile::~TemporaryFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<OpenedMachine> open_machine(const RunOptions& options) {
  OpenedMachine opened;
  machine::MachineConfig& config = opened.config;
  copy_values(options, config);
  if (auto done = check_memory(config.memory_size); !done) return std::unexpected(done.error());
  if (config.engine != machine::EngineKind::Interpret) config.host = host_support(config.memory_size);
  if (auto done = open_firmware(options, config); !done) return std::unexpected(done.error());
  if (auto done = open_kernel(options, config); !done) return std::unexpected(done.error());
  if (auto done = read_firmware_files(options, config); !done) return std::unexpected(done.error());
  config.drives = TRY(open_drives(options, opened.warnings));
  if (!options.statistics.file.empty())
    config.statistics.output = TRY(create_output("the file for statistics", options.statistics.file));
  if (!options.log_file.empty()) config.log.output = TRY(create_output("the log file", options.log_file));

  // Last, because it may wait for somebody to connect.
  OpenedCharacters characters = TRY(open_characters(options));
  for (std::string& path : characters.socket_files) opened.temporary_files.emplace_back(std::move(path));
  config.endpoints = std::move(characters.endpoints);
  config.serial_ports = std::move(characters.serial_ports);
  config.debug_consoles = std::move(characters.debug_consoles);
  for (size_t i = 0; i < options.virtio.size(); ++i) {
    const VirtioOptions& device = options.virtio[i];
    config.virtio.push_back({.id = device.id,
                             .type = device.type,
                             .interfaces = device.interfaces,
                             .interrupts = device.interrupts,
                             .drive = device.drive,
                             .serial = device.serial,
                             .deflate_on_out_of_memory = device.deflate_on_out_of_memory,
                             .free_page_reporting = device.free_page_reporting,
                             .endpoint = characters.virtio[i]});
  }
  config.monitor = characters.monitor;
  config.gdb = characters.gdb;
  opened.terminal = characters.terminal;
  std::ranges::move(characters.announcements, std::back_inserter(opened.warnings));
  if (!options.pid_file.empty()) opened.temporary_files.push_back(TRY(write_pid_file(options.pid_file)));
  return opened;
}

Result<Descriptor> HostFileService::create_file(std::string_view path, machine::FileContents /*contents*/) {
  Descriptor file(::open(std::string(path).c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666));
  if (!file) return std::unexpected(error_from_errno("cannot create the file", path));
  return file;
}

}  // namespace vitrine::cli
