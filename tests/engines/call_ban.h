// Forbids the host's system calls to translated code: a seccomp filter that looks at where a call comes from.
// For the rest of the process's life.
#pragma once

#include <initializer_list>

#include "translate/engine.h"

namespace vitrine::engines {

/// From here on a system call out of the code memory of one of these, or one by INT 80h from anywhere, kills
/// the process (SIGSYS). False: the host does not allow such a filter.
[[nodiscard]] bool ban_system_calls(std::initializer_list<const translate::Engine*> engines);

}  // namespace vitrine::engines
