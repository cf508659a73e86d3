// Which system calls a machine process may make: while it is built, and while the guest runs. See
// docs/machine-process.md, "System calls".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "sandbox/confine_self.h"

namespace vitrine::cli {

enum class MachinePhase : uint8_t {
  Building,  ///< Reads kernels and ROMs, makes memory, maps code caches, starts threads.
  Running,   ///< The guest runs.
};

/// `own`: getpid() in the process. `channel`: its end of the socket to the supervisor, the only descriptor
/// over which others travel.
[[nodiscard]] std::vector<sandbox::FilterRule> machine_calls(MachinePhase phase, pid_t own, int channel);

}  // namespace vitrine::cli
