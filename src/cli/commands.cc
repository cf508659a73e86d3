#include "cli/commands.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/suggestion.h"

namespace vitrine::cli {
namespace {

constexpr Command kCommands[] = {
    {"run", "boots an unmodified 32-bit PC operating system in a virtual machine", run_command},
    {"box", "runs one untrusted program that holds only what is named", box_command},
    {"doctor", "says what this host can guarantee, and what not, and why", doctor_command},
    {"token", "names files by unguessable tokens, and hands them out", token_command},
};

/// The name under which the program takes QEMU's arguments with no command before them.
constexpr std::string_view kQemuName = "vitrine-system-i386";

void print_help() {
  fmt::print("Usage: vitrine COMMAND [ARGUMENT…]\n\nCommands:\n");
  for (const Command& command : kCommands) fmt::print("  {:<8} {}\n", command.name, command.help);
  fmt::print("  {:<8} {}\n", "help", "vitrine help COMMAND says more");
  fmt::print("\nUnder the name {} the program is `vitrine run`.\n", kQemuName);
}

int help_command(std::span<const std::string_view> arguments) {
  if (arguments.empty()) {
    print_help();
    return kSuccess;
  }
  static constexpr std::array<std::string_view, 1> kHelp = {"--help"};
  for (const Command& command : kCommands) {
    if (command.name == arguments[0]) return command.run(kHelp);
  }
  fmt::print(stderr, "vitrine: there is no command '{}'\n", arguments[0]);
  return kUsageError;
}

int unknown_command(std::string_view word) {
  std::vector<std::string_view> names = {"help"};
  for (const Command& command : kCommands) names.push_back(command.name);
  const auto meant = suggest(word, names);
  fmt::print(stderr, "vitrine: there is no command '{}' ({})\n", word,
             meant ? fmt::format("did you mean {}?", *meant) : "vitrine --help lists them");
  return kUsageError;
}

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

int dispatch(std::span<const std::string_view> arguments) {
  const std::string_view path = arguments.empty() ? "vitrine" : arguments[0];
  const std::string_view name = path.substr(path.rfind('/') + 1);
  arguments = arguments.subspan(arguments.empty() ? 0 : 1);
  if (name == kQemuName) return run_command(arguments);
  if (arguments.empty()) {
    fmt::print(stderr, "vitrine: a command is missing; vitrine --help lists them\n");
    return kUsageError;
  }
  const std::string_view word = arguments[0];
  if (word == "help" || word == "--help" || word == "-h") return help_command(arguments.subspan(1));
  if (word == "--version" || word == "-version" || word == "version") {
    fmt::print("Vitrine {}\n", VITRINE_VERSION);
    return kSuccess;
  }
  for (const Command& command : kCommands) {
    if (command.name == word) return command.run(arguments.subspan(1));
  }
  return unknown_command(word);
}

}  // namespace vitrine::cli
