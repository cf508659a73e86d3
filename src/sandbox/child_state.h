// What a running box is held by. Of this folder only.
#pragma once

#include <chrono>

#include "sandbox/child.h"

namespace vitrine::sandbox {

/// Output that passes through us.
struct CountedOutput {
  Descriptor from;  ///< The read end of the program's pipe.
  Descriptor to;
};

struct Child::State {
  ~State();
  /// Ends everything in the box and reaps the first process. Harmless when that has happened.
  void end();

  Policy policy = Policy::compute_only();
  std::vector<Assurance> assurances;
  uint32_t rights = 0;
  std::chrono::steady_clock::time_point started;
  pid_t pid = -1;
  bool reaped = false;
  bool own_processes = false;  ///< The first process is number 1 of a PID namespace: with it all end.
  Descriptor pidfd;
  Descriptor lifeline;  ///< EndMessage comes in. The first process ends when this is closed.
  Descriptor listener;  ///< Denied calls; not valid where the host has none.
  Cgroup cgroup;
  std::vector<CountedOutput> outputs;
};

}  // namespace vitrine::sandbox
