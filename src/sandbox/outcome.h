// How a box ended, and what it used and tried. Everything here comes from the kernel or from the supervisor's
// own counting; nothing is taken from memory that the program could write, except `Violation::path`, which
// says so.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/guarantee.h"
#include "sandbox/system_calls.h"

namespace vitrine::sandbox {

enum class LimitKind : uint8_t { ProcessorTime, WallTime, Memory, Output };
[[nodiscard]] std::string_view limit_name(LimitKind limit);

/// A denied system call. The same call that lacks the same right is counted, not listed again.
struct Violation {
  uint32_t architecture = 0;  ///< AUDIT_ARCH_…: which entry into the kernel.
  int number = 0;
  std::string call;  ///< Its name.
  std::array<uint64_t, 6> arguments{};
  uint64_t count = 0;
  Right missing{};  ///< What would have been needed.
};

/// A path that a program asked for; for Policy::record_paths(). Read from the program's memory: a hint,
/// nothing to decide by.
struct PathRequest {
  std::string path;
  bool write = false;
  bool execute = false;
  auto operator<=>(const PathRequest&) const = default;
};

struct Usage {
  std::chrono::nanoseconds processor_time{};
  std::chrono::nanoseconds wall_time{};
  /// Bytes. By the control group, or else the largest sum that was seen and the largest of a single process,
  /// which starts with what the supervisor itself had at the time of the fork.
  uint64_t peak_memory = 0;
  uint64_t output = 0;  ///< Bytes on the counted descriptors.
};

struct Outcome {
  enum class End : uint8_t {
    Exited,         ///< By itself, with `status`.
    Signalled,      ///< By `signal`.
    LimitExceeded,  ///< Ended, or stopped from going on, by `limit`.
    Violation,      ///< Ended because of violations.back() or, unseen, by the filter itself.
    Killed,         ///< By Child::kill, or with the supervisor.
  };
  End end{};
  int status = 0;
  int signal = 0;
  std::optional<LimitKind> limit;
  std::vector<Violation> violations;
  uint64_t violation_count = 0;
  std::vector<PathRequest> paths;
  Usage usage;
  std::vector<Assurance> assurances;
};

}  // namespace vitrine::sandbox
