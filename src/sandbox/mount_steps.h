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

/// Afterwards the root directory of all processes in the namespace is the view; the old one still lies on top
/// of it. Leaves a descriptor open for each mount (close-on-exec). `landlock`: gets the rules for what comes
/// into being here; -1: none.
[[nodiscard]] MountFailure enter_new_root(const std::vector<MountStep>& steps, int landlock,
                                          int landlock_abi);
/// pivot_root(2), "pivot_root(".", ".")": takes the old root off, so that nothing but the view can be
/// reached. In any process of the namespace, which is in the root directory afterwards. The kernel does it at
/// once, and then waits for its other processors.
[[nodiscard]] MountFailure leave_old_root();
/// Whether that is done: from then on no path leads to the old root. False as well where it cannot be seen.
[[nodiscard]] bool is_old_root_left();

}  // namespace vitrine::sandbox
