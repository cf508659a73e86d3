// The process that the machine runs in: a fork of this one, without exec, that holds the machine's
// descriptors and then gives up everything else. See docs/machine-process.md.
//
//   supervisor ── fork ──► (makes namespaces) ── fork ──► machine process
//    keeps names,           ends at once                   first filter, builds the machine, second filter,
//    terminal, authority                                   runs the guest
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "machine/machine_config.h"
#include "sandbox/host_features.h"

namespace vitrine::cli {

struct MachineProcess {
  pid_t pid = -1;      ///< A child of this process.
  Descriptor channel;  ///< See machine_channel.h.
  /// Bytes that it may hold beside the guest's memory (private_memory() in sandbox/usage.h).
  std::optional<uint64_t> most_memory = {};
};

/// What tests change: see run_command() below.
struct MachineProcessOptions {
  std::vector<sandbox::Mechanism> without = {};  ///< As if the host had none of them.
  /// Runs in the machine process, confined, in place of the guest; its result is the process's status.
  std::function<int()> instead_of_guest = {};
};

/// `vitrine run` with the words behind it. For tests.
[[nodiscard]] int run_command(std::span<const std::string_view> arguments,
                              const MachineProcessOptions& tests);

/// Starts it and hands over `config`, which is closed here. The machine waits for release_machine(). The
/// calling process has one thread, and has called take_supervisor_signals(). Error: of the host's.
[[nodiscard]] Result<MachineProcess> start_machine_process(machine::MachineConfig config,
                                                           const MachineProcessOptions& options = {});
/// The terminal is ready: it may begin.
[[nodiscard]] Result<void> release_machine(const MachineProcess& process);

}  // namespace vitrine::cli
