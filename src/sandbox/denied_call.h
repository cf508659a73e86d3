// A call that a filter has denied and told to its listener (seccomp_unotify(2)). What is said of it comes
// from the kernel: the process has no say in it.
#pragma once

#include <linux/seccomp.h>

#include <optional>

namespace vitrine::sandbox {

/// The next one that waits at the listener; nothing: who made it has been interrupted or is gone.
[[nodiscard]] std::optional<seccomp_notif> take_denied_call(int listener);

}  // namespace vitrine::sandbox
