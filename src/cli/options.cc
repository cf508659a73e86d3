#include "cli/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cli/suggestion.h"

namespace vitrine::cli {
namespace {

/// Options that people know from QEMU and that are not supported: why, and what to do instead.
constexpr std::pair<std::string_view, std::string_view> kUnsupported[] = {
    {"daemonize", "start it in the background with & and -display none"},
    {"vnc", "the monitor's 'screendump' shows the screen"},
    {"spice", "the monitor's 'screendump' shows the screen"},
    {"sdl", "use -nographic or -display none"},
    {"gtk", "use -nographic or -display none"},
    {"curses", "use -nographic; the monitor's 'info screen' shows the text screen"},
    {"full-screen", "there is no window"},
    {"k", "there is no window whose keys would need a layout"},
    {"netdev", "there is no network; -net none is accepted"},
    {"usb", "there is no USB"},
    {"usbdevice", "there is no USB"},
    {"soundhw", "there is no sound"},
    {"audiodev", "there is no sound"},
    {"audio", "there is no sound"},
    {"blockdev", "use -drive"},
    {"pflash", "use -bios"},
    {"sd", "use -drive"},
    {"mtdblock", "use -drive"},
    {"option-rom", "expansion cards cannot be added"},
    {"loadvm", "machine states cannot be saved or loaded"},
    {"incoming", "machines cannot be moved"},
    {"qmp", "use -monitor"},
    {"mon", "use -monitor, or -serial mon:…"},
    {"object", "no objects can be created"},
    {"numa", "all memory is equally far"},
    {"mem-path", "memory is anonymous"},
    {"mem-prealloc", "memory is taken when it is touched"},
    {"sandbox", "confinement does not depend on an option"},
    {"runas", "start it as that user"},
    {"chroot", "start it there"},
    {"readconfig", "use options"},
    {"writeconfig", "use options"},
    {"trace", "use -d"},
    {"plugin", "use -d"},
    {"virtfs", "directories cannot be shared"},
    {"fsdev", "directories cannot be shared"},
    {"smbios", "the tables are the firmware's"},
    {"acpitable", "the tables are the machine's"},
    {"uuid", "the machine has none"},
    {"watchdog", "there is none"},
    {"singlestep", "use -d in_asm, or gdb"},
    {"no-fd-bootchk", "the firmware checks floppies' boot sectors"},
    {"msg", "messages have one form"},
    {"set", "give the property where the device is made"},
    {"dtb", "a PC has no device tree"},
    {"g", "the guest chooses the resolution"},
    {"prom-env", "a PC has none"},
    {"semihosting", "a PC has none"},
    {"tb-size", "there is no translation"},
    {"xen-domid", "there is no Xen"},
};

const Option* find_option(std::string_view name) {
  for (const Option& option : run_options()) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

/// `-stats=json`: an argument that may be left out comes behind an equals sign, with one dash as well.
const Option* find_optional(std::string_view& name, std::optional<std::string_view>& argument) {
  const size_t equals = name.find('=');
  if (equals == std::string_view::npos) return nullptr;
  const Option* const option = find_option(name.substr(0, equals));
  if (option == nullptr || !option->argument.starts_with('[')) return nullptr;
  argument = name.substr(equals + 1);
  name = name.substr(0, equals);
  return option;
}

Error unknown_option(std::string_view word, std::string_view name) {
  for (const auto& [known, reason] : kUnsupported) {
    if (known == name)
      return Error{"the option is not supported:", std::string(word), 0, std::string(reason)};
  }
  std::vector<std::string_view> names = {"help", "version"};
  for (const Option& option : run_options()) names.push_back(option.name);
  for (const auto& [known, reason] : kUnsupported) names.push_back(known);
  const auto meant = suggest(name, names);
  return Error{"there is no option", std::string(word), 0,
               meant ? fmt::format("did you mean -{}?", *meant) : "--help lists them all"};
}

std::string_view group_title(OptionGroup group) {
  switch (group) {
    case OptionGroup::Machine: return "Machine";
    case OptionGroup::Boot: return "What is booted";
    case OptionGroup::Drives: return "Drives";
    case OptionGroup::Characters: return "Serial lines, monitor, screen";
    case OptionGroup::Time: return "Time";
    case OptionGroup::Running: return "Running";
    case OptionGroup::Debugging: return "Debugging";
    case OptionGroup::Compatibility: return "For command lines written for other programs";
  }
  return "";
}

/// One option and its argument off the front of `words`.
Result<void> take_option(RunOptions& options, std::span<const std::string_view>& words) {
  const std::string_view word = words.front();
  words = words.subspan(1);
  std::string_view name = word.substr(word.starts_with("--") ? 2 : 1);
  std::optional<std::string_view> argument;
  if (const size_t equals = name.find('='); equals != std::string_view::npos && word.starts_with("--")) {
    argument = name.substr(equals + 1);
    name = name.substr(0, equals);
  }
  if (name == "h" || name == "help" || name == "?") {
    options.information = run_help();
    return {};
  }
  if (name == "version") {
    options.information = fmt::format("Vitrine {}\n", VITRINE_VERSION);
    return {};
  }
  const Option* option = find_option(name);
  if (option == nullptr) option = find_optional(name, argument);
  if (option == nullptr) return std::unexpected(unknown_option(word, name));
  if (option->argument.starts_with('[')) return option->handler(options, argument.value_or(""));
  if (option->argument.empty()) {
    if (argument) return std::unexpected(Error{"the option takes no argument:", std::string(word)});
    return option->handler(options, "");
  }
  if (!argument) {
    if (words.empty()) {
      return std::unexpected(
          Error{"the option needs an argument:", fmt::format("{} {}", word, option->argument)});
    }
    argument = words.front();
    words = words.subspan(1);
  }
  return option->handler(options, *argument);
}

}  // namespace

Result<RunOptions> parse_run_options(std::span<const std::string_view> arguments) {
  RunOptions options;
  while (!arguments.empty() && !options.information) {
    const std::string_view word = arguments.front();
    if (word.size() > 1 && word.starts_with('-')) {
      if (auto taken = take_option(options, arguments); !taken) return std::unexpected(taken.error());
      continue;
    }
    arguments = arguments.subspan(1);
    if (auto taken = find_option("hda")->handler(options, word); !taken)
      return std::unexpected(taken.error());
    options.drives.back().option = "the disk image";
  }
  if (!options.information) {
    if (auto completed = complete_run_options(options); !completed) return std::unexpected(completed.error());
  }
  return options;
}

std::string run_help() {
  std::string text =
      "Usage: vitrine run [OPTION…] [DISK-IMAGE]\n"
      "Boots an unmodified 32-bit PC operating system. Options are spelled as QEMU's; one dash or two.\n";
  OptionGroup group{};
  bool first = true;
  for (const Option& option : run_options()) {
    if (first || option.group != group) text += fmt::format("\n{}:\n", group_title(option.group));
    group = option.group;
    first = false;
    const std::string left = fmt::format("-{} {}", option.name, option.argument);
    if (left.size() <= 30) {
      text += fmt::format("  {:<30}  {}\n", left, option.help);
    } else {
      text += fmt::format("  {}\n  {:<30}  {}\n", left, "", option.help);
    }
  }
  text +=
      "\n  -h, --help                      this list\n"
      "  --version                       Vitrine's version\n"
      "\nExit status: 0, the machine has ended; 1, it could not be built or could not go on; 2, the command "
      "line is\n"
      "wrong or asks for what is not supported; (value << 1) | 1, the guest wrote to the isa-debug-exit "
      "port.\n";
  return text;
}

}  // namespace vitrine::cli
