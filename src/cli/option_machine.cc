// Options that say which machine: type, processors, memory, devices.

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "cli/option_handlers.h"
#include "cli/property_list.h"
#include "cpu/cpu_model.h"

namespace vitrine::cli {
namespace {

constexpr unsigned kMostCpus = 16;
constexpr uint64_t kMebibyte = uint64_t{1} << 20;
constexpr uint64_t kLeastMemory = 2 * kMebibyte;
/// 36 address bits less the hole below 4 GiB.
constexpr uint64_t kMostMemory = uint64_t{60} << 30;

Error unsupported(std::string_view option, std::string_view what, std::string_view advice = {}) {
  return Error{fmt::format("{}: not supported:", option), std::string(what), 0, std::string(advice)};
}

void note_accelerator(RunOptions& options, std::string_view name) {
  options.notes.push_back(
      fmt::format("the accelerator '{}' is not used: Vitrine has engines of its own, see --engine", name));
}

/// Machine properties that QEMU has and that are off here, and cannot be on.
constexpr std::array<std::string_view, 5> kAbsentMachineProperties = {"usb", "vmport", "hpet", "smm",
                                                                      "nvdimm"};

Result<void> set_machine_type(RunOptions& options, const std::string& type) {
  if (type == "help" || type == "?") {
    options.information =
        "pc       i440FX and PIIX3 with PCI, as QEMU's 'pc' (default)\nisapc    the same without PCI\n";
  } else if (type == "pc" || type.starts_with("pc-i440fx-")) {
    options.type = machine::MachineType::Pc;
  } else if (type == "isapc") {
    options.type = machine::MachineType::IsaPc;
  } else {
    return std::unexpected(unsupported("-machine", type, "there are pc and isapc"));
  }
  return {};
}

/// "512", "512M", "1G"; without a letter in `default_unit`.
std::optional<uint64_t> parse_size(std::string_view text, uint64_t default_unit) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  std::string_view suffix = text.substr(static_cast<size_t>(end - text.data()));
  if (suffix.size() == 2 && (suffix[1] == 'B' || suffix[1] == 'b')) suffix.remove_suffix(1);
  if (suffix.size() > 1) return std::nullopt;
  uint64_t unit = default_unit;
  switch (suffix.empty() ? '\0' : suffix[0]) {
    case '\0': break;
    case 'b':
    case 'B': unit = 1; break;
    case 'k':
    case 'K': unit = uint64_t{1} << 10; break;
    case 'm':
    case 'M': unit = uint64_t{1} << 20; break;
    case 'g':
    case 'G': unit = uint64_t{1} << 30; break;
    case 't':
    case 'T': unit = uint64_t{1} << 40; break;
    default: return std::nullopt;
  }
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(value, unit, &bytes)) return std::nullopt;
  return bytes;
}

Result<void> add_debug_exit(RunOptions& options, PropertyList& properties) {
  machine::DebugExitConfig config;
  config.port = static_cast<uint16_t>(TRY(properties.take_number("iobase", 0xffff)).value_or(config.port));
  const uint64_t count = TRY(properties.take_number("iosize", 4)).value_or(config.count);
  (void)properties.take("id");
  if (auto left = properties.nothing_left("iobase, iosize, id"); !left) return left;
  if (count == 0 || config.port + count > 0x10000) {
    return std::unexpected(Error{"-device isa-debug-exit: iosize is 1 to 4 ports below 0x10000", ""});
  }
  if (options.debug_exit) return std::unexpected(Error{"-device isa-debug-exit is given twice", ""});
  config.count = static_cast<uint16_t>(count);
  options.debug_exit = config;
  return {};
}

Result<void> add_debug_console(RunOptions& options, PropertyList& properties) {
  DebugConsoleOptions console;
  if (const auto port = TRY(properties.take_number("iobase", 0xffff)))
    console.port = static_cast<uint16_t>(*port);
  const auto chardev = properties.take("chardev");
  if (!chardev) return std::unexpected(Error{"-device isa-debugcon needs chardev=ID", ""});
  (void)properties.take("id");
  if (auto left = properties.nothing_left("iobase, chardev, id"); !left) return left;
  console.device.kind = CharacterOptions::Kind::Reference;
  console.device.id = *chardev;
  console.device.text = "chardev:" + *chardev;
  options.debug_consoles.push_back(console);
  return {};
}

Result<void> only_none(std::string_view option, std::string_view argument) {
  if (argument == "none") return {};
  return std::unexpected(unsupported(option, argument, "there is no network yet; 'none' is accepted"));
}

}  // namespace

Result<void> option_machine(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-machine", argument, "type"));
  if (const auto type = properties.take("type")) {
    if (auto set = set_machine_type(options, *type); !set) return set;
  }
  if (const auto accelerator = properties.take("accel")) note_accelerator(options, *accelerator);
  if (const auto acpi = TRY(properties.take_switch("acpi"))) options.acpi = *acpi;
  for (const std::string_view name : kAbsentMachineProperties) {
    if (TRY(properties.take_switch(name)).value_or(false)) {
      return std::unexpected(unsupported("-machine", fmt::format("{}=on", name)));
    }
  }
  return properties.nothing_left("type, accel, acpi");
}

Result<void> option_accel(RunOptions& options, std::string_view argument) {
  const std::string_view name = argument.substr(0, argument.find(','));
  if (name == "help") {
    options.information = "Vitrine has engines of its own: see --engine\n";
    return {};
  }
  note_accelerator(options, name.empty() ? "kvm" : name);
  return {};
}

Result<void> option_engine(RunOptions& options, std::string_view argument) {
  if (argument == "help") {
    options.information =
        "translate    runs guest code natively, translated (default; where the host cannot: interpret)\n"
        "interpret    executes instruction by instruction: the reference\n"
        "trap         the same, but privileged instructions fault and are emulated: the classic hypervisor\n"
        "lockstep     interprets and translates, compares after each step; with --clock=virtual, one "
        "processor\n"
        "lockstep-trap  the same with trap instead of translate\n";
    return {};
  }
  static constexpr std::pair<std::string_view, machine::EngineKind> kEngines[] = {
      {"interpret", machine::EngineKind::Interpret},
      {"translate", machine::EngineKind::Translate},
      {"trap", machine::EngineKind::Trap},
      {"lockstep", machine::EngineKind::Lockstep},
      {"lockstep-trap", machine::EngineKind::LockstepTrap},
  };
  for (const auto& [name, kind] : kEngines) {
    if (argument != name) continue;
    options.engine = kind;
    return {};
  }
  return std::unexpected(Error{"--engine: there is no engine", std::string(argument), 0,
                               "there are translate, interpret, trap, lockstep and lockstep-trap"});
}

Result<void> option_shadow(RunOptions& options, std::string_view argument) {
  if (argument == "help") {
    options.information =
        "unsync       a page table's windows are kept; what has changed is found at CR3 loads and INVLPG "
        "(default)\n"
        "proactive    the same, but page tables are write-protected, and a write to one takes effect at "
        "once\n"
        "ondemand     a virtual TLB: filled by faults, emptied by CR3 loads and INVLPG\n";
    return {};
  }
  static constexpr std::pair<std::string_view, paging::ShadowPolicy> kPolicies[] = {
      {"unsync", paging::ShadowPolicy::Unsync},
      {"proactive", paging::ShadowPolicy::Proactive},
      {"ondemand", paging::ShadowPolicy::OnDemand},
  };
  for (const auto& [name, policy] : kPolicies) {
    if (argument != name) continue;
    options.shadow = policy;
    return {};
  }
  return std::unexpected(Error{"--shadow: there is no policy", std::string(argument), 0,
                               "there are unsync, proactive and ondemand; --shadow help says what they do"});
}

Result<void> option_views(RunOptions& options, std::string_view argument) {
  if (argument != "one" && argument != "two")
    return std::unexpected(Error{"--views is two or one, not", std::string(argument)});
  options.views = argument == "one" ? paging::ShadowViews::One : paging::ShadowViews::Two;
  return {};
}

Result<void> option_fills(RunOptions& options, std::string_view argument) {
  if (argument != "first" && argument != "again")
    return std::unexpected(Error{"--fills is first or again, not", std::string(argument)});
  options.fills = argument == "first" ? paging::ShadowFills::First : paging::ShadowFills::Again;
  return {};
}

Result<void> option_cpu(RunOptions& options, std::string_view argument) {
  if (argument == "help" || argument == "?") {
    std::string text;
    for (const auto& [name, description] : cpu::CpuModel::list())
      text += fmt::format("{:<12} {}\n", name, description);
    options.information = text;
    return {};
  }
  if (auto model = cpu::CpuModel::create(argument); !model) {
    Error error = std::move(model).error();
    if (error.advice.empty()) error.advice = "-cpu help lists the models";
    error.what = "-cpu: " + error.what;
    return std::unexpected(std::move(error));
  }
  options.cpu_model = argument;
  return {};
}

Result<void> option_smp(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-smp", argument, "cpus"));
  const auto cpus = TRY(properties.take_number("cpus", 255));
  const uint64_t sockets = TRY(properties.take_number("sockets", 255)).value_or(0);
  const uint64_t cores = TRY(properties.take_number("cores", 255)).value_or(0);
  const uint64_t threads = TRY(properties.take_number("threads", 255)).value_or(0);
  const auto most = TRY(properties.take_number("maxcpus", 255));
  if (auto left = properties.nothing_left("cpus, sockets, cores, threads, maxcpus"); !left) return left;
  const uint64_t product =
      std::max<uint64_t>(sockets, 1) * std::max<uint64_t>(cores, 1) * std::max<uint64_t>(threads, 1);
  const uint64_t count = cpus.value_or(product);
  if (count == 0 || count > kMostCpus) {
    return std::unexpected(
        Error{fmt::format("-smp: there can be 1 to {} processors, not", kMostCpus), std::string(argument)});
  }
  if (most && *most != count) {
    return std::unexpected(
        unsupported("-smp", fmt::format("maxcpus={}", *most), "processors cannot be added later"));
  }
  if (sockets != 0 && cores != 0 && threads != 0 && product != count) {
    return std::unexpected(Error{fmt::format("-smp: sockets * cores * threads is {}, but cpus is", product),
                                 fmt::format("{}", count)});
  }
  if (cores > 1 || threads > 1)
    options.notes.push_back("every processor is a socket of its own: -smp cores and threads only count");
  options.cpus = static_cast<unsigned>(count);
  return {};
}

Result<void> option_memory(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-m", argument, "size"));
  const auto text = properties.take("size");
  if (auto left = properties.nothing_left("size"); !left) return left;
  const auto size = text ? parse_size(*text, kMebibyte) : std::nullopt;
  if (!size) {
    return std::unexpected(
        Error{"-m: not a memory size:", std::string(argument), 0, "for example 512, 512M or 1G"});
  }
  if (*size < kLeastMemory) {
    return std::unexpected(Error{"-m: too little memory for a PC:", *text, 0,
                                 "2M is the least; without a letter the number is in megabytes"});
  }
  if (*size > kMostMemory) {
    return std::unexpected(
        Error{"-m: more memory than a 32-bit PC can address:", *text, 0, "60G is the most"});
  }
  options.memory_size = (*size + 4095) & ~uint64_t{4095};
  return {};
}

Result<void> option_name(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-name", argument, "guest"));
  options.name = properties.take("guest").value_or("");
  return properties.nothing_left("guest");
}

Result<void> option_vga(RunOptions& options, std::string_view argument) {
  if (argument == "help") {
    options.information = "std      VGA with Bochs VBE extensions (default)\nnone     no display adapter\n";
  } else if (argument == "std") {
    options.vga = machine::VgaKind::Standard;
  } else if (argument == "none") {
    options.vga = machine::VgaKind::None;
  } else {
    return std::unexpected(unsupported("-vga", argument, "there are std and none"));
  }
  return {};
}

Result<void> option_no_acpi(RunOptions& options, std::string_view) {
  options.acpi = false;
  return {};
}

Result<void> option_device(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-device", argument, "driver"));
  const std::string driver = properties.take("driver").value_or("");
  if (driver == "help" || driver == "?") {
    options.information =
        "isa-debug-exit,iobase=PORT,iosize=N    ends Vitrine with status (value << 1) | 1\n"
        "isa-debugcon,iobase=PORT,chardev=ID    writes what the guest sends to a port\n" +
        virtio_help();
    return {};
  }
  if (driver == "isa-debug-exit") return add_debug_exit(options, properties);
  if (driver == "isa-debugcon") return add_debug_console(options, properties);
  if (is_virtio_device(driver)) return add_virtio_device(options, driver, properties);
  return std::unexpected(unsupported("-device", driver, "-device help lists the devices"));
}

Result<void> option_global(RunOptions& options, std::string_view argument) {
  constexpr std::string_view kPort = "isa-debugcon.iobase=";
  if (!argument.starts_with(kPort)) {
    return std::unexpected(unsupported("-global", argument, "there is isa-debugcon.iobase=PORT"));
  }
  const auto port = parse_number(argument.substr(kPort.size()));
  if (!port || *port > 0xffff)
    return std::unexpected(Error{"-global: not a port number:", std::string(argument)});
  options.debug_console_port = static_cast<uint16_t>(*port);
  return {};
}

Result<void> option_nic(RunOptions&, std::string_view argument) {
  return only_none("-nic", argument);
}
Result<void> option_net(RunOptions&, std::string_view argument) {
  return only_none("-net", argument);
}

Result<void> option_display(RunOptions& options, std::string_view argument) {
  const std::string_view kind = argument.substr(0, argument.find(','));
  if (kind == "none") {
    options.display_none = true;
    return {};
  }
  if (kind == "help") {
    options.information =
        "none     the monitor's 'screendump' and 'info screen' show what is on the screen\n";
    return {};
  }
  return std::unexpected(unsupported("-display", kind,
                                     "use -nographic for a serial console, or -display none with the "
                                     "monitor's 'screendump' and 'info screen'"));
}

}  // namespace vitrine::cli
