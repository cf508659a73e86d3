// The commands of the program `vitrine`.
#pragma once

#include <span>
#include <string_view>

namespace vitrine::cli {

/// What the process ends with, apart from what a guest chooses.
enum ExitStatus : int {
  kSuccess = 0,
  kFailure = 1,     ///< The machine could not be built or could not go on.
  kUsageError = 2,  ///< The command line is wrong, or asks for what is not supported.
};

struct Command {
  std::string_view name;
  std::string_view help;
  /// `arguments`: what follows the command's name.
  int (*run)(std::span<const std::string_view> arguments);
};

[[nodiscard]] std::span<const Command> commands();

/// `vitrine run …`
int run_command(std::span<const std::string_view> arguments);
/// `vitrine box …`. Ends with a Verdict (box_report.h).
int box_command(std::span<const std::string_view> arguments);

/// `vitrine doctor`
int doctor_command(std::span<const std::string_view> arguments);

/// `vitrine token …`
int token_command(std::span<const std::string_view> arguments);

/// The whole program: `arguments` starts with the name it was called by, which may choose a command by
/// itself.
int dispatch(std::span<const std::string_view> arguments);

}  // namespace vitrine::cli
