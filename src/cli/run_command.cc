// `vitrine run`: reads the options, opens everything, and has the machine built and run in a process that
// holds nothing else.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "cli/commands.h"
#include "cli/host_signals.h"
#include "cli/machine_process.h"
#include "cli/machine_supervisor.h"
#include "cli/open.h"
#include "cli/options.h"
#include "machine/run.h"

namespace vitrine::cli {
namespace {

constexpr std::string_view kWithoutSandbox =
    "warning: --sandbox=off: a guest that breaks out of its machine can read, change and send away all "
    "that you can, and start programs as you";

int report(const Error& error, ExitStatus status) {
  fmt::print(stderr, "vitrine: {}\n", error.message());
  return status;
}

Result<std::unique_ptr<RawTerminal>> enter_terminal(const OpenedMachine& opened) {
  if (!opened.terminal) return nullptr;
  return RawTerminal::enter(STDIN_FILENO, *opened.terminal);
}

/// From open descriptors to the end of the machine. The terminal is itself again when this returns.
Result<int> run_here(OpenedMachine opened, const MachineProcessOptions& tests) {
  fmt::print(stderr, "vitrine: {}\n", kWithoutSandbox);
  opened.config.confinement = "off: this process holds all rights of its user\n";
  opened.config.signals = TRY(take_signals());
  const std::unique_ptr<RawTerminal> terminal = TRY(enter_terminal(opened));
  HostFileService files;
  machine::Ready ready;
  if (tests.instead_of_guest) ready = [&]() -> Result<void> { std::exit(tests.instead_of_guest()); };
  return machine::run_machine(std::move(opened.config), files, ready);
}

/// The same, with the machine in another process.
Result<int> run_confined(OpenedMachine opened, std::span<const std::string> file_directories,
                         const MachineProcessOptions& tests) {
  GrantedFiles files = TRY(GrantedFiles::create(file_directories));
  const Descriptor signals = TRY(take_supervisor_signals());
  MachineProcess process = TRY(start_machine_process(std::move(opened.config), tests));
  MachineSupervisor::Ending ending;
  {
    const std::unique_ptr<RawTerminal> terminal = TRY(enter_terminal(opened));
    TRY(release_machine(process));
    ending = MachineSupervisor(std::move(process), signals, files).run();
  }
  if (!ending.words.empty()) fmt::print(stderr, "vitrine: {}\n", ending.words);
  return ending.status;
}

}  // namespace

int run_command(std::span<const std::string_view> arguments) {
  return run_command(arguments, {});
}

int run_command(std::span<const std::string_view> arguments, const MachineProcessOptions& tests) {
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

  const auto status = options->sandbox ? run_confined(std::move(*opened), options->file_directories, tests)
                                       : run_here(std::move(*opened), tests);
  if (!status) return report(status.error(), kFailure);
  return *status;
}

}  // namespace vitrine::cli
