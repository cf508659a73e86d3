// A policy's system-call filter, made before any child exists, so that installing it is one system call. See
// docs/sandbox.md, "System calls".
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sandbox/filter_code.h"
#include "sandbox/system_calls.h"

namespace vitrine::sandbox {

/// What happens to a call that is in no row.
enum class DeniedCall : uint8_t {
  Notify,  ///< The supervisor is told and answers.
  Fail,    ///< EPERM, or ENOSYS for the calls of errno_for_denied.
  Kill,    ///< The process is killed by SIGSYS.
};

struct FilterSpec {
  uint32_t rights = 1;  ///< Bits by Right.
  DeniedCall denied = DeniedCall::Fail;
  std::optional<uint64_t> largest_mapping;  ///< Bytes that may be asked for at once.
  /// The first execve is made from this descriptor, which the program can never have: it is not below its
  /// limit of open files.
  std::optional<int> program_descriptor;
  /// Calls with paths are told to the supervisor, which lets them go on: they are allowed anyway, and
  /// something else decides whether they succeed.
  bool tell_paths = false;
};

[[nodiscard]] constexpr uint32_t right_bit(Right right) {
  return uint32_t{1} << static_cast<unsigned>(right);
}

/// What the filter says, before it is code.
[[nodiscard]] std::vector<FilterRule> filter_rules(const FilterSpec& spec);
[[nodiscard]] FilterActions filter_actions(DeniedCall denied);

class Filter {
 public:
  [[nodiscard]] static Filter make(const FilterSpec& spec);

  [[nodiscard]] const std::vector<sock_filter>& code() const { return code_; }
  /// Puts a process's number where the filter has a place for it. Async-signal-safe.
  static void set_process(std::span<sock_filter> code, uint32_t pid);

 private:
  std::vector<sock_filter> code_;
};

}  // namespace vitrine::sandbox
