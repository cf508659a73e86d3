// What confinement this host really offers. Nothing is assumed from a version or a configuration file: each
// mechanism is tried in a child process, and what does not work is reported with the reason.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vitrine::sandbox {

/// One thing of the kernel's that confinement can be built from.
enum class Mechanism : uint8_t {
  SeccompFilter,         ///< System calls are filtered.
  SeccompStrict,         ///< read, write, exit and sigreturn only.
  SeccompNotification,   ///< A denied call is reported to the supervisor with its arguments.
  NoNewPrivileges,       ///< No set-user-ID program gives rights back.
  Landlock,              ///< Paths, TCP ports, abstract sockets and signals; `level` is the ABI.
  UserNamespace,         ///< Without root: the right to make the other namespaces.
  MountNamespace,        ///< A file system view of its own.
  PidNamespace,          ///< Sees and signals its own processes only; all end with the first.
  ProcFileSystem,        ///< A /proc of its own that shows nothing but its processes.
  NetworkNamespace,      ///< No interface but a loopback of its own; abstract sockets of its own.
  IpcNamespace,          ///< System V objects and POSIX queues of its own.
  UtsNamespace,          ///< A host name of its own.
  CgroupNamespace,       ///< Does not see where in the host's cgroups it is.
  TimeNamespace,         ///< Does not see how long the host is up.
  OtherUser,             ///< Another, unprivileged user and group (needs root).
  IdMappedMount,         ///< As root: the caller's files appear as that user's own.
  ResourceLimits,        ///< setrlimit(2)
  CgroupMemory,          ///< One memory limit for all processes together.
  CgroupProcesses,       ///< One limit on their number.
  CgroupKill,            ///< cgroup v2: all of them ended at once, their processor time counted exactly.
  CloseRange,            ///< Every other descriptor closed in one call.
  PidDescriptor,         ///< pidfd: a process named without reuse of its number.
  Subreaper,             ///< Orphans come to the supervisor instead of the host's init.
  ParentDeathSignal,     ///< Ends when its parent does.
  SessionKeyring,        ///< A keyring of its own.
  DenyWriteExecute,      ///< PR_SET_MDWE: memory is never both writable and executable.
  TerminalInjectionOff,  ///< dev.tty.legacy_tiocsti=0: nobody can type into a terminal.
  PtraceScope,           ///< Yama: a process may not trace its siblings.
};
inline constexpr size_t kMechanismCount = static_cast<size_t>(Mechanism::PtraceScope) + 1;

/// The result of trying one mechanism.
struct Feature {
  bool available = false;
  int level = 0;       ///< Landlock: the ABI. Otherwise 0.
  std::string detail;  ///< Not available: why, and what would change that. Available: may be empty.
};

/// "landlock", "pid-namespace": for reports, and for --disable.
[[nodiscard]] std::string_view mechanism_name(Mechanism mechanism);
/// "a file system view of its own": what it is for, in a few words.
[[nodiscard]] std::string_view mechanism_purpose(Mechanism mechanism);
[[nodiscard]] std::optional<Mechanism> mechanism_from_name(std::string_view name);

class HostFeatures {
 public:
  /// Tries everything: some tens of milliseconds. Leaves nothing behind. Safe with other threads running.
  [[nodiscard]] static HostFeatures probe();
  /// What can be asked without a child process is asked; the rest is taken as there, to be found out by doing
  /// it. For starting quickly: Child::spawn falls back on probe().
  [[nodiscard]] static HostFeatures assume();
  /// Tries control groups only, and notes the result.
  void probe_cgroups();

  [[nodiscard]] const Feature& operator[](Mechanism mechanism) const {
    return features_[static_cast<size_t>(mechanism)];
  }
  [[nodiscard]] bool has(Mechanism mechanism) const { return (*this)[mechanism].available; }
  /// Landlock's ABI, 0 without it.
  [[nodiscard]] int landlock_abi() const;
  /// Treats a mechanism as absent: for tests, and for what was found out by doing it.
  void remove(Mechanism mechanism, std::string reason);

 private:
  Feature& at(Mechanism mechanism) { return features_[static_cast<size_t>(mechanism)]; }

  std::array<Feature, kMechanismCount> features_;
};

}  // namespace vitrine::sandbox
