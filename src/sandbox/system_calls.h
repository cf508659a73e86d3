// Which system calls belong to which right, with conditions on their arguments. One table: the filter is made
// from it, and a denied call is explained from it. What is in no row is denied, whoever asks: calls that came
// with later kernels included.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace vitrine::sandbox {

/// What a policy can give. A row of the table belongs to one of them.
enum class Right : uint8_t {
  Compute,      ///< Always there.
  Files,        ///< Look up paths, read files, list directories. Which, is held by mounts and Landlock.
  ChangeFiles,  ///< Create, change, rename, remove.
  MapFiles,     ///< Map files executable: dynamic linking.
  Processes,    ///< More than one process or thread.
  Programs,     ///< Start other programs.
  ExecutableMemory,
  Loopback,
  LargeMemory,  ///< More memory than the limit, asked for at once.
  SignalOthers,
  Sessions,  ///< Leave the process group: where that is not what ends all of them.
  Never,     ///< No policy gives it.
};

/// "start programs": what is missing, for reports.
[[nodiscard]] std::string_view right_name(Right right);
/// The rule of Policy that would grant it; empty: none.
[[nodiscard]] std::string_view right_rule(Right right);

enum class Test : uint8_t { None, Equal, NotAbove, MaskedEqual };

/// `argument & mask == value` and the like.
struct Condition {
  Test test = Test::None;
  uint8_t argument = 0;
  uint64_t mask = 0;
  uint64_t value = 0;
};
[[nodiscard]] bool holds(const Condition& condition, std::span<const uint64_t, 6> arguments);

/// All conditions of a row must hold; one row of several for the same call is enough.
struct CallRow {
  int number;
  Right right;
  std::array<Condition, 2> conditions = {};
};

[[nodiscard]] std::span<const CallRow> call_table();

/// x86-64's number of the call under another name: for messages. "open", or "call 999".
[[nodiscard]] std::string call_name(uint32_t architecture, int number);

/// Which right a denied call of the 64-bit entry would have needed; of several the one it lacks.
[[nodiscard]] Right right_needed(int number, std::span<const uint64_t, 6> arguments, uint32_t rights_held);

/// What a denied call fails with. ENOSYS where programs are known to have another way (clone3, io_uring) and
/// for calls that are newer than the table.
[[nodiscard]] int errno_for_denied(int number, Right missing);

/// Which argument of a call is a path; -1: none.
[[nodiscard]] int path_argument(int number);
/// The calls that FilterSpec::tell_paths is about: they look up a path, and files are what they need.
[[nodiscard]] bool is_told(const CallRow& row);

}  // namespace vitrine::sandbox
