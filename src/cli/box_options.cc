#include "cli/box_options.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "cli/suggestion.h"
#include "cli/token_argument.h"

namespace vitrine::cli {
namespace {

using enum BoxOptionGroup;
using std::chrono::milliseconds;

Error bad_argument(std::string_view option, std::string_view argument, std::string_view form) {
  return Error{fmt::format("--{}: not {}:", option, form), std::string(argument)};
}

/// "64M": binary multiples.
Result<uint64_t> parse_size(std::string_view option, std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  constexpr std::string_view kUnits = "KMGT";
  unsigned shift = 0;
  if (unit.size() == 1 && kUnits.find(unit[0]) != std::string_view::npos) {
    shift = 10 * (static_cast<unsigned>(kUnits.find(unit[0])) + 1);
  } else if (!unit.empty()) {
    shift = 64;
  }
  if (error != std::errc() || value == 0 || shift > 40 || value > (uint64_t{1} << 62) >> shift) {
    return std::unexpected(bad_argument(option, text, "a size such as 4096, 64K, 256M or 1G"));
  }
  return value << shift;
}

/// "2", "1.5", "1.5s", "500ms", "2m".
Result<milliseconds> parse_time(std::string_view option, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const double scale = unit.empty() || unit == "s" ? 1000 : unit == "ms" ? 1 : unit == "m" ? 60'000 : 0;
  constexpr double kLongest = 1e12;
  if (error != std::errc() || !(value * scale >= 1) || value * scale > kLongest) {
    return std::unexpected(bad_argument(option, text, "a time such as 2, 1.5s or 500ms"));
  }
  return milliseconds(std::llround(value * scale));
}

Result<uint64_t> parse_count(std::string_view option, std::string_view text, uint64_t least, uint64_t most) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    return std::unexpected(bad_argument(option, text, fmt::format("a number from {} to {}", least, most)));
  }
  return value;
}

Result<int> parse_rights(std::string_view option, std::string_view text) {
  if (text == "r") return O_RDONLY;
  if (text == "w") return O_WRONLY | O_CREAT | O_TRUNC;
  if (text == "a") return O_WRONLY | O_CREAT | O_APPEND;
  if (text == "rw") return O_RDWR | O_CREAT;
  return std::unexpected(bad_argument(option, text, "rights: r, w, a (append) or rw"));
}

Result<void> add_descriptor(BoxOptions& options, std::string_view option, int number, std::string path,
                            int flags) {
  for (const BoxDescriptor& descriptor : options.descriptors) {
    if (descriptor.number != number) continue;
    return std::unexpected(
        Error{fmt::format("--{}: descriptor {} leads to two files:", option, number), std::move(path)});
  }
  options.descriptors.push_back({number, std::move(path), flags});
  return {};
}

Result<void> option_fd(BoxOptions& options, std::string_view argument) {
  const size_t equals = argument.find('=');
  const size_t colon = argument.rfind(':');
  if (equals == std::string_view::npos || colon == std::string_view::npos || colon < equals) {
    return std::unexpected(bad_argument("fd", argument, "of the form N=FILE:RIGHTS, such as 3=data.bin:r"));
  }
  const uint64_t number = TRY(parse_count("fd", argument.substr(0, equals), 0, 1000));
  const int flags = TRY(parse_rights("fd", argument.substr(colon + 1)));
  return add_descriptor(options, "fd", static_cast<int>(number),
                        std::string(argument.substr(equals + 1, colon - equals - 1)), flags);
}

/// PATH, or PLACE=token:TOKEN.
Result<void> option_path(BoxOptions& options, std::string_view argument, bool writable) {
  const std::string_view option = writable ? "rw" : "ro";
  if (is_token_argument(argument)) {
    return std::unexpected(Error{fmt::format("--{}: a directory by token has no name in the box", option), "",
                                 0, fmt::format("--{} /PLACE=token:… gives it one", option)});
  }
  const size_t equals = argument.find('=');
  if (equals == std::string_view::npos || !is_token_argument(argument.substr(equals + 1))) {
    (writable ? options.writable : options.readable).emplace_back(argument);
    return {};
  }
  const std::string_view place = argument.substr(0, equals);
  if (!place.starts_with('/')) {
    return std::unexpected(Error{fmt::format("--{}: the place in the box is an absolute path, not", option),
                                 std::string(place)});
  }
  options.directories.push_back({std::string(place), std::string(argument.substr(equals + 1)), writable});
  return {};
}

Result<void> option_net(BoxOptions& options, std::string_view argument) {
  if (argument != "none" && argument != "loopback")
    return std::unexpected(bad_argument("net", argument, "none or loopback"));
  options.loopback = argument == "loopback";
  return {};
}

Result<void> option_env(BoxOptions& options, std::string_view argument) {
  std::string variable(argument);
  if (variable.find('=') == std::string::npos) {
    const char* value = ::getenv(variable.c_str());
    if (value == nullptr) return std::unexpected(Error{"--env: the variable is not set:", variable});
    variable += fmt::format("={}", value);
  }
  if (variable.starts_with('=')) return std::unexpected(bad_argument("env", argument, "NAME or NAME=VALUE"));
  const std::string name = variable.substr(0, variable.find('=') + 1);
  std::erase_if(options.environment, [&](const std::string& other) { return other.starts_with(name); });
  options.environment.push_back(std::move(variable));
  return {};
}

Result<void> option_report(BoxOptions& options, std::string_view argument) {
  if (argument != "json" && argument != "text")
    return std::unexpected(bad_argument("report", argument, "json or text"));
  options.report = argument == "json" ? ReportFormat::Json : ReportFormat::Text;
  return {};
}

Result<void> option_disable(BoxOptions& options, std::string_view argument) {
  const auto mechanism = sandbox::mechanism_from_name(argument);
  if (!mechanism) {
    std::string names;
    for (size_t i = 0; i < sandbox::kMechanismCount; ++i) {
      names += fmt::format("{}{}", i == 0 ? "" : ", ",
                           sandbox::mechanism_name(static_cast<sandbox::Mechanism>(i)));
    }
    return std::unexpected(Error{"--disable: there is no mechanism", std::string(argument), 0, names});
  }
  options.disabled.push_back(*mechanism);
  return {};
}

Result<sandbox::Guarantee> parse_guarantee(std::string_view option, std::string_view text) {
  if (const auto guarantee = sandbox::guarantee_from_name(text)) return *guarantee;
  return std::unexpected(Error{fmt::format("--{}: there is no guarantee", option), std::string(text), 0,
                               "--explain lists them"});
}

constexpr BoxOption kOptions[] = {
    {"ro", "PATH", Files,
     "may read what is at or beneath PATH; PLACE=token:TOKEN: a directory by token, at PLACE",
     [](BoxOptions& o, std::string_view a) { return option_path(o, a, false); }},
    {"rw", "PATH", Files, "may also change it; by token, too",
     [](BoxOptions& o, std::string_view a) { return option_path(o, a, true); }},
    {"tmp", "SIZE", Files, "a /tmp of its own, in memory, of at most SIZE",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.temporary = TRY(parse_size("tmp", a)), Result<void>{};
     }},
    {"bare", "", Files, "no library directories but those named (not needed for static programs)",
     [](BoxOptions& o, std::string_view) -> Result<void> { return o.bare = true, Result<void>{}; }},
    {"fd", "N=FILE:RIGHTS", Files, "descriptor N is FILE, opened outside; RIGHTS: r, w, a, rw", option_fd},
    {"stdin", "FILE", Files, "standard input; otherwise that of vitrine",
     [](BoxOptions& o, std::string_view a) {
       return add_descriptor(o, "stdin", 0, std::string(a), O_RDONLY);
     }},
    {"stdout", "FILE", Files, "standard output, created or cut off",
     [](BoxOptions& o, std::string_view a) {
       return add_descriptor(o, "stdout", 1, std::string(a), O_WRONLY | O_CREAT | O_TRUNC);
     }},
    {"stderr", "FILE", Files, "standard error, created or cut off",
     [](BoxOptions& o, std::string_view a) {
       return add_descriptor(o, "stderr", 2, std::string(a), O_WRONLY | O_CREAT | O_TRUNC);
     }},
    {"dir", "PATH", Files,
     "start there, if it is granted (default: the present directory, if granted; else /)",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.working_directory = a, Result<void>{};
     }},

    {"net", "none|loopback", Other, "the network: none (default), or a loopback interface of its own",
     option_net},
    {"env", "NAME[=VALUE]", Other, "an environment variable, with its present value or another", option_env},
    {"exec", "", Other, "may start other programs: executable files beneath --ro and --rw",
     [](BoxOptions& o, std::string_view) -> Result<void> { return o.exec = true, Result<void>{}; }},
    {"jit", "", Other, "may make memory executable (Java, JavaScript, LuaJIT)",
     [](BoxOptions& o, std::string_view) -> Result<void> { return o.jit = true, Result<void>{}; }},
    {"strict", "", Other, "the first denied system call ends it; otherwise the call fails",
     [](BoxOptions& o, std::string_view) -> Result<void> { return o.strict = true, Result<void>{}; }},
    {"require", "GUARANTEE", Other,
     "do not start without it (--explain lists them; most are required anyway)",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.required.push_back(TRY(parse_guarantee("require", a))), Result<void>{};
     }},
    {"lack", "GUARANTEE", Other, "start even if this host cannot give it",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.lacks.push_back(TRY(parse_guarantee("lack", a))), Result<void>{};
     }},
    {"profile", "FILE", Other,
     "options from a TOML file: ro = [\"/usr/share\"], exec = true, memory = \"256M\"",
     [](BoxOptions& o, std::string_view a) { return read_box_profile(o, std::string(a)); }},

    {"time", "TIME", BoxOptionGroup::Limits, "processor time of all its processes: 2, 1.5s, 500ms",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.limits.processor_time = TRY(parse_time("time", a)), Result<void>{};
     }},
    {"wall", "TIME", BoxOptionGroup::Limits, "time by the clock",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.limits.wall_time = TRY(parse_time("wall", a)), Result<void>{};
     }},
    {"memory", "SIZE", BoxOptionGroup::Limits, "memory of all its processes: 64M, 1G",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.limits.memory = TRY(parse_size("memory", a)), Result<void>{};
     }},
    {"processes", "N", BoxOptionGroup::Limits,
     "processes and threads at once (default 1: no fork, no threads)",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.limits.processes = TRY(parse_count("processes", a, 1, 100'000)), Result<void>{};
     }},
    {"output", "SIZE", BoxOptionGroup::Limits, "bytes on standard output and error together, and in any file",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.limits.output = TRY(parse_size("output", a)), Result<void>{};
     }},
    {"files", "N", BoxOptionGroup::Limits, "descriptors open at once (default 64)",
     [](BoxOptions& o, std::string_view a) -> Result<void> {
       return o.limits.open_files = TRY(parse_count("files", a, 4, 900)), Result<void>{};
     }},

    {"report", "json|text", Reports, "says on standard error how it ended, what it used and what was denied",
     option_report},
    {"report-file", "FILE", Reports, "there instead of on standard error",
     [](BoxOptions& o, std::string_view a) -> Result<void> { return o.report_file = a, Result<void>{}; }},
    {"explain", "", Reports, "does not run it: says what would be granted, and what each guarantee rests on",
     [](BoxOptions& o, std::string_view) -> Result<void> { return o.explain = true, Result<void>{}; }},
    {"learn", "", Reports, "runs it, and prints the options that it lacked (standard error)",
     [](BoxOptions& o, std::string_view) -> Result<void> { return o.learn = true, Result<void>{}; }},

    {"disable", "MECHANISM", Tests, "behave as on a host without it", option_disable},
};

std::string_view group_title(BoxOptionGroup group) {
  switch (group) {
    case Files: return "Files and descriptors";
    case Other: return "What else it may do";
    case BoxOptionGroup::Limits: return "Limits";
    case Reports: return "Reports";
    case Tests: return "For tests";
  }
  return "";
}

const BoxOption* find_option(std::string_view name) {
  for (const BoxOption& option : kOptions) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

Error unknown_option(std::string_view name) {
  std::vector<std::string_view> names = {"help"};
  for (const BoxOption& option : kOptions) names.push_back(option.name);
  const auto meant = suggest(name, names);
  return Error{"box: there is no option", fmt::format("--{}", name), 0,
               meant ? fmt::format("did you mean --{}?", *meant) : "vitrine box --help lists them all"};
}

}  // namespace

std::span<const BoxOption> box_options() {
  return kOptions;
}

Result<void> set_box_option(BoxOptions& options, std::string_view name,
                            std::optional<std::string_view> argument) {
  const BoxOption* option = find_option(name);
  if (option == nullptr) return std::unexpected(unknown_option(name));
  if (option->argument.empty() && argument) {
    return std::unexpected(Error{"the option takes no argument:", fmt::format("--{}", name)});
  }
  if (!option->argument.empty() && !argument) {
    return std::unexpected(
        Error{"the option needs an argument:", fmt::format("--{} {}", name, option->argument)});
  }
  return option->handler(options, argument.value_or(""));
}

Result<BoxOptions> parse_box_options(std::span<const std::string_view> arguments) {
  BoxOptions options;
  while (!arguments.empty()) {
    std::string_view word = arguments.front();
    if (word == "--") {
      arguments = arguments.subspan(1);
      break;
    }
    if (word == "--help" || word == "-h") {
      options.information = box_help();
      return options;
    }
    if (word.size() < 2 || !word.starts_with('-')) break;
    arguments = arguments.subspan(1);
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const std::string_view name = word.substr(0, word.find('='));
    std::optional<std::string_view> argument;
    if (name.size() < word.size()) argument = word.substr(name.size() + 1);
    const BoxOption* option = find_option(name);
    if (option != nullptr && !option->argument.empty() && !argument && !arguments.empty()) {
      argument = arguments.front();
      arguments = arguments.subspan(1);
    }
    if (auto set = set_box_option(options, name, argument); !set) return std::unexpected(set.error());
  }
  options.program.assign(arguments.begin(), arguments.end());
  if (options.program.empty()) {
    return std::unexpected(
        Error{"box: no program was named", "", 0, "vitrine box [option…] -- program [argument…]"});
  }
  return options;
}

std::string box_help() {
  std::string text =
      "Usage: vitrine box [OPTION…] [--] PROGRAM [ARGUMENT…]\n\n"
      "Runs one program that nobody trusts. Nothing is granted but what is named: its own file and, if it "
      "is\n"
      "linked dynamically, the system's library directories are readable without being named (--explain).\n";
  for (const BoxOptionGroup group : {Files, Other, BoxOptionGroup::Limits, Reports, Tests}) {
    text += fmt::format("\n{}:\n", group_title(group));
    for (const BoxOption& option : kOptions) {
      if (option.group != group) continue;
      text += fmt::format("  {:<22} {}\n", fmt::format("--{} {}", option.name, option.argument), option.help);
    }
  }
  text +=
      "\nExit status: 0 OK, 1 internal error (it was not run, or its end is not known), 2 wrong command "
      "line,\n"
      "3 runtime error (status or signal), 4 time limit, 5 memory limit, 6 output limit, 7 violation.\n";
  return text;
}

}  // namespace vitrine::cli
