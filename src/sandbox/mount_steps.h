// Builds a file view in a new mount namespace. Async-signal-safe.
#pragma once

#include <vector>

#include "sandbox/file_view.h"

namespace vitrine::sandbox {

struct MountFailure {
  int error = 0;   ///< 0: done.
  int index = -1;  ///< Of the step; -1: before or after them.
  bool is_proc = false;
};

/// Afterwards the root directory is the view, and nothing else can be reached from the process. `landlock`:
/// gets the rules for what comes into being here; -1: none.
[[nodiscard]] MountFailure take_mount_steps(const std::vector<MountStep>& steps, int landlock,
                                            int landlock_abi);

}  // namespace vitrine::sandbox
