// What a process and everything below it uses now, from /proc.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "base/descriptor.h"

namespace vitrine::sandbox {

struct TreeUsage {
  /// Of the living, with what they waited for.
  std::chrono::nanoseconds processor_time{};
  uint64_t memory = 0;  ///< Bytes resident; pages shared by several count for each.
  unsigned processes = 0;
};

/// Of the descendants of `root`, without it.
[[nodiscard]] TreeUsage measure_descendants(pid_t root);

/// What a process holds that is in no file of anybody's: bytes of anonymous memory, resident or swapped out,
/// and of its page tables. `status`: /proc/PID/status, open (proc_pid_status(5)); 0: the process has ended.
[[nodiscard]] uint64_t private_memory(const Descriptor& status);

/// Processes and threads of a user, as RLIMIT_NPROC counts them.
[[nodiscard]] uint64_t count_tasks(uid_t user);

}  // namespace vitrine::sandbox
