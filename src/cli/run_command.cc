// `vitrine run`: reads the options, opens everything, builds and runs the machine.

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <utility>

#include <unistd.h>

#include "cli/commands.h"
#include "cli/host_signals.h"
#include "cli/open.h"
#include "cli/options.h"
#include "machine/run.h"

namespace vitrine::cli {
namespace {

int report(const Error& error, ExitStatus status) {
  fmt::print(stderr, "vitrine: {}\n", error.message());
  return status;
}

/// From open descriptors to the end of the machine. The terminal is itself again when this returns.
Result<int> run_opened(OpenedMachine opened) {
  opened.config.signals = TRY(take_signals());
  std::unique_ptr<RawTerminal> terminal;
  if (opened.terminal) terminal = TRY(RawTerminal::enter(STDIN_FILENO, *opened.terminal));
  HostFileService files;
  return machine::run_machine(std::move(opened.config), files);
}

}  // namespace

int run_command(std::span<const std::string_view> arguments) {
  auto options = parse_run_options(arguments);
  if (!options) return report(options.error(), kUsageError);
  if (options->information) {
    fmt::print("{}", *options->information);
    return kSuccess;
  }
  for (const std::string& note : options->notes) fmt::print(stderr, "vitrine: note: {}\n", note);

  ignore_write_signals();
  ignore_report_signal();
  auto opened = open_machine(*options);
  if (!opened) return report(opened.error(), kFailure);
  for (const std::string& warning : opened->warnings) fmt::print(stderr, "vitrine: {}\n", warning);

  const auto status = run_opened(std::move(*opened));
  if (!status) return report(status.error(), kFailure);
  return *status;
}

}  // namespace vitrine::cli
