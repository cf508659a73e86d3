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

struct MachineCaller {
  pid_t own = 0;  ///< getpid() in the process.
  /// Its end of the socket to the supervisor, the only descriptor over which others travel.
  int channel = 0;
  /// PR_SET_MDWE is in force: the kernel itself refuses mprotect() that would make memory executable.
  bool denies_write_execute = false;
};

[[nodiscard]] std::vector<sandbox::FilterRule> machine_calls(MachinePhase phase, const MachineCaller& caller);

}  // namespace vitrine::cli
