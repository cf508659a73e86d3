// What a process and everything below it uses now, from /proc.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

namespace vitrine::sandbox {

struct TreeUsage {
  /// Of the living, with what they waited for.
  std::chrono::nanoseconds processor_time{};
  uint64_t memory = 0;  ///< Bytes resident; pages shared by several count for each.
  unsigned processes = 0;
};

/// Of the descendants of `root`, without it.
[[nodiscard]] TreeUsage measure_descendants(pid_t root);

/// Processes and threads of a user, as RLIMIT_NPROC counts them.
[[nodiscard]] uint64_t count_tasks(uid_t user);

}  // namespace vitrine::sandbox
