// Process capabilities: process descriptors (pidfds), which name one process for ever, unlike its number. A
// process is spawned with a declared list of capabilities; it has no other descriptor.
//
// This is spawning, not confinement: the process has the rights of the user who starts it. The sandbox
// library takes those away.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "capability/capability.h"

namespace vitrine::capability {

/// One descriptor of the new process.
struct Inherited {
  int number;                    ///< Under which the process finds it.
  const Capability* capability;  ///< Borrowed until spawn() returns.
  Excess excess = Excess::Refused;
};

struct SpawnRequest {
  std::string program;                   ///< A path; not searched for.
  std::vector<std::string> arguments;    ///< Without the program's name.
  std::vector<std::string> environment;  ///< "NAME=value"; nothing is inherited.
  /// Everything that is not named here is closed; 0, 1 and 2 that are not named are /dev/null.
  std::vector<Inherited> inherits;
};

/// Starts a program. Works from processes with many threads. Error: also when the program could not be
/// executed.
[[nodiscard]] Result<Capability> spawn(const SpawnRequest& request);

/// A capability to a process that exists already, of which the caller is the parent or the owner.
[[nodiscard]] Result<Capability> open_process(pid_t number, Rights rights);

/// Needs Signal. Error: it has ended (ESRCH), or the user may not.
[[nodiscard]] Result<void> send_signal(const Capability& process, int signal);

struct ProcessEnd {
  int status = 0;  ///< Exit status, if no signal ended it.
  int signal = 0;  ///< The signal that ended it, or 0.
};
/// Waits for its end, and takes the status: only the parent can, and once. Needs Wait.
[[nodiscard]] Result<ProcessEnd> wait(const Capability& process);

struct ProcessState {
  pid_t number =
      0;  ///< In this process's PID namespace; 0: it is not seen from here; -1: it has been waited for.
  bool running = false;
};
/// Needs Inspect.
[[nodiscard]] Result<ProcessState> inspect(const Capability& process);

}  // namespace vitrine::capability
