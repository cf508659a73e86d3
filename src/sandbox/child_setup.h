// What the two processes of a box do between clone and execve. Everything that they need lies ready in a
// SetupPlan, in memory that the clone copied: only async-signal-safe calls are made, so that the parent may
// have any number of threads.
//
//   supervisor ──clone(namespaces)──► first process ──clone──► program
//   Landlock's rules, filter          number 1 of its          mounts; joins the network, limits, Landlock,
//                                     namespace: network,      seccomp, execve when the old root is gone
//                                     takes the old root
//                                     off; reaps, ends all
//                                     when one end is gone
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/file_view.h"

namespace vitrine::sandbox {

/// Where the set-up failed. The row in child_setup_stages says what that means.
enum class Stage : uint8_t {
  Maps,
  Cgroup,
  CgroupNamespace,
  Session,
  HostName,
  NetworkNamespace,
  Network,
  TimeNamespace,
  Mounts,
  Processes,
  Fork,
  Descriptors,
  Limits,
  Keyring,
  User,
  Capabilities,
  NoNewPrivileges,
  DenyWriteExecute,
  Directory,
  Landlock,
  Filter,
  Execute,
};

/// A message of the set-up to the supervisor.
struct SetupMessage {
  enum class Kind : uint8_t { Listener, Failure };
  Kind kind{};
  Stage stage{};
  int error = 0;
  int index = -1;  ///< Which mount step, which limit.
};

/// What the first process says when the program has ended.
struct EndMessage {
  int status = 0;  ///< As wait4 gives it.
  rusage usage{};  ///< The program's, with what it waited for.
};

struct DescriptorMove {
  int target;  ///< The number in the program.
  int source;  ///< Ours.
};

struct LimitRow {
  int resource;
  rlimit limit;
};

struct SetupPlan {
  // Descriptors of ours.
  /// SetupMessages go out; one byte comes in when the maps are written, then the filter's code, when Landlock
  /// has its rules.
  int setup = -1;
  int lifeline = -1;  ///< EndMessage goes out. Ends when the supervisor is gone or wants an end.
  std::vector<int> cgroup_entrances;

  bool wait_for_maps = false;
  bool cgroup_namespace = false;
  bool host_name = false;
  bool network_namespace = false;
  bool loopback = false;
  bool time_namespace = false;
  bool own_processes = false;  ///< The first process is number 1 of a namespace.
  std::optional<std::vector<MountStep>> mounts;

  std::vector<DescriptorMove> descriptors;  ///< Sorted by target.
  int program = -1;
  int first_reserved = 0;  ///< = the limit of open files; some numbers from here are ours until execve.
  std::vector<LimitRow> limits;
  bool keyring = false;
  std::optional<uid_t> user;  ///< Become this user, with a group of the same number.
  bool deny_write_execute = false;
  std::string working_directory;
  int landlock = -1;
  int landlock_abi = 0;
  bool filter = false;
  bool listener = false;
  std::vector<char*> arguments;    ///< Ends with null; points into the supervisor's strings.
  std::vector<char*> environment;  ///< The same.
};

/// Numbers of descriptors that only the set-up has.
[[nodiscard]] constexpr int program_descriptor(int first_reserved) {
  return first_reserved;
}
[[nodiscard]] constexpr int setup_descriptor(int first_reserved) {
  return first_reserved + 1;
}
[[nodiscard]] constexpr int gate_descriptor(int first_reserved) {
  return first_reserved + 2;
}
[[nodiscard]] constexpr int landlock_descriptor(int first_reserved) {
  return first_reserved + 3;
}

/// The life of the first process.
[[noreturn]] void run_first_process(const SetupPlan& plan);

/// "cannot …", and the mechanism that is missing then, if it is one.
struct StageText {
  const char* text;
  std::optional<Mechanism> mechanism;
};
[[nodiscard]] StageText describe(Stage stage);

}  // namespace vitrine::sandbox
