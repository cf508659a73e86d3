#include "sandbox/host_features.h"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/descriptor.h"
#include "sandbox/cgroup.h"
#include "sandbox/kernel_calls.h"
#include "sandbox/mechanism_probes.h"

namespace vitrine::sandbox {
namespace {

struct Row {
  Mechanism mechanism;
  std::string_view name;
  std::string_view purpose;
  /// Runs in a child of its own. Null: not tried that way.
  ProbeOutcome (*probe)();
  std::string_view advice;  ///< When it is missing.
};

constexpr std::string_view kNamespaceAdvice =
    "the host or the container forbids it: kernel.unprivileged_userns_clone, user.max_user_namespaces, "
    "kernel.apparmor_restrict_unprivileged_userns, the container's seccomp profile";
constexpr std::string_view kCgroupAdvice =
    "the cgroup around this process's must be this user's to divide: systemd-run --user --scope -p "
    "Delegate=yes, and in it a group for whoever starts boxes";

constexpr Row kRows[] = {
    {Mechanism::SeccompFilter, "seccomp-filter", "system calls are filtered", probe_seccomp_filter,
     "the kernel needs CONFIG_SECCOMP_FILTER"},
    {Mechanism::SeccompStrict, "seccomp-strict", "read, write, exit and sigreturn only", probe_seccomp_strict,
     "the kernel needs CONFIG_SECCOMP"},
    {Mechanism::SeccompNotification, "seccomp-notification", "denied calls are reported with arguments",
     probe_seccomp_notification, "Linux 5.0; a filter with a listener around this process excludes another"},
    {Mechanism::NoNewPrivileges, "no-new-privileges", "no set-user-ID program gives rights back",
     probe_no_new_privileges, ""},
    {Mechanism::Landlock, "landlock", "paths, ports, abstract sockets and signals", probe_landlock,
     "Linux 5.13 with landlock among the LSMs (lsm=landlock,… at boot)"},
    {Mechanism::UserNamespace, "user-namespace", "the right to make namespaces without root",
     probe_user_namespace, kNamespaceAdvice},
    {Mechanism::MountNamespace, "mount-namespace", "a file system view of its own", probe_mount_namespace,
     kNamespaceAdvice},
    {Mechanism::PidNamespace, "pid-namespace", "sees, signals and outlives no other process",
     probe_pid_namespace, kNamespaceAdvice},
    {Mechanism::ProcFileSystem, "proc", "a /proc that shows its own processes only", probe_proc_file_system,
     "Linux 5.8; in a container whose /proc is partly covered only root can mount another"},
    {Mechanism::NetworkNamespace, "network-namespace", "no network but a loopback of its own",
     probe_network_namespace, kNamespaceAdvice},
    {Mechanism::IpcNamespace, "ipc-namespace", "System V objects and message queues of its own",
     probe_ipc_namespace, kNamespaceAdvice},
    {Mechanism::UtsNamespace, "uts-namespace", "a host name of its own", probe_uts_namespace,
     kNamespaceAdvice},
    {Mechanism::CgroupNamespace, "cgroup-namespace", "does not see the host's cgroups",
     probe_cgroup_namespace, kNamespaceAdvice},
    {Mechanism::TimeNamespace, "time-namespace", "does not see how long the host is up", probe_time_namespace,
     kNamespaceAdvice},
    {Mechanism::OtherUser, "other-user", "another, unprivileged user", probe_other_user,
     "only root can become another user"},
    {Mechanism::IdMappedMount, "idmapped-mount", "root's files appear as the box user's",
     probe_id_mapped_mount, "Linux 5.12, root, and a file system that supports it"},
    {Mechanism::ResourceLimits, "resource-limits", "limits on each process", probe_resource_limits, ""},
    {Mechanism::CgroupMemory, "cgroup-memory", "one memory limit for all processes together", nullptr,
     kCgroupAdvice},
    {Mechanism::CgroupProcesses, "cgroup-processes", "one limit on the number of processes", nullptr,
     kCgroupAdvice},
    {Mechanism::CgroupKill, "cgroup-kill", "all processes ended at once", nullptr, kCgroupAdvice},
    {Mechanism::CloseRange, "close-range", "every other descriptor closed", probe_close_range, "Linux 5.9"},
    {Mechanism::PidDescriptor, "pidfd", "a process named without reuse of its number", probe_pid_descriptor,
     "Linux 5.4"},
    {Mechanism::Subreaper, "subreaper", "orphans come to the supervisor", probe_subreaper, ""},
    {Mechanism::ParentDeathSignal, "parent-death-signal", "ends when its parent does",
     probe_parent_death_signal, ""},
    {Mechanism::SessionKeyring, "session-keyring", "a keyring of its own", probe_session_keyring,
     "the kernel needs CONFIG_KEYS, and the container's seccomp profile must allow keyctl"},
    {Mechanism::DenyWriteExecute, "deny-write-execute", "memory is never writable and executable",
     probe_deny_write_execute, "Linux 6.3"},
    {Mechanism::TerminalInjectionOff, "tiocsti-off", "nobody can type into a terminal",
     probe_terminal_injection_off, "sysctl dev.tty.legacy_tiocsti=0 (Linux 6.2)"},
    {Mechanism::PtraceScope, "ptrace-scope", "a process may not trace its siblings", probe_ptrace_scope,
     "sysctl kernel.yama.ptrace_scope=1"},
};
static_assert(std::size(kRows) == kMechanismCount);
static_assert([] {
  for (size_t i = 0; i < kMechanismCount; ++i) {
    if (static_cast<size_t>(kRows[i].mechanism) != i) return false;
  }
  return true;
}());

/// Runs a probe in a child and takes its answer from a pipe. A probe that is killed or hangs is an answer,
/// too.
ProbeOutcome run_probe(ProbeOutcome (*probe)()) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed_probe("pipe2");
  const Descriptor reader(ends[0]);
  Descriptor writer(ends[1]);
  const long pid = clone_process(SIGCHLD, nullptr);
  if (pid == 0) {
    const ProbeOutcome outcome = probe();
    const bool written = ::write(writer.get(), &outcome, sizeof outcome) == sizeof outcome;
    ::_exit(written ? 0 : 1);
  }
  if (pid < 0) return failed_probe("clone");
  writer.reset();
  ProbeOutcome outcome{};
  pollfd waiting{reader.get(), POLLIN, 0};
  constexpr int kPatience = 5'000;  // milliseconds
  const bool answered =
      ::poll(&waiting, 1, kPatience) == 1 && ::read(reader.get(), &outcome, sizeof outcome) == sizeof outcome;
  if (!answered) ::kill(static_cast<pid_t>(pid), SIGKILL);
  int status = 0;
  while (::waitpid(static_cast<pid_t>(pid), &status, 0) < 0 && errno == EINTR) {
  }
  if (answered) return outcome;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
             ? ProbeOutcome{EPERM, 0, "killed by a system-call filter around this process"}
             : ProbeOutcome{EIO, 0, "the trial did not end"};
}

Feature feature_from(const ProbeOutcome& outcome, std::string_view advice) {
  if (outcome.error == 0) return {true, outcome.level, {}};
  std::string why = std::string(outcome.step) + ": " + std::strerror(outcome.error);
  if (!advice.empty()) why += "; " + std::string(advice);
  return {false, 0, std::move(why)};
}

}  // namespace

std::string_view mechanism_name(Mechanism mechanism) {
  return kRows[static_cast<size_t>(mechanism)].name;
}

std::string_view mechanism_purpose(Mechanism mechanism) {
  return kRows[static_cast<size_t>(mechanism)].purpose;
}

std::optional<Mechanism> mechanism_from_name(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.mechanism;
  }
  return std::nullopt;
}

HostFeatures HostFeatures::probe() {
  HostFeatures features;
  for (const Row& row : kRows) {
    if (row.probe != nullptr) features.at(row.mechanism) = feature_from(run_probe(row.probe), row.advice);
  }
  features.probe_cgroups();
  return features;
}

void HostFeatures::probe_cgroups() {
  const CgroupSupport cgroups = sandbox::probe_cgroups();
  at(Mechanism::CgroupMemory) = feature_from(cgroups.memory, kCgroupAdvice);
  at(Mechanism::CgroupProcesses) = feature_from(cgroups.processes, kCgroupAdvice);
  at(Mechanism::CgroupKill) = feature_from(cgroups.kill, kCgroupAdvice);
}

HostFeatures HostFeatures::assume() {
  HostFeatures features;
  for (const Row& row : kRows) features.at(row.mechanism).available = true;
  const auto ask = [&](Mechanism mechanism, const ProbeOutcome& outcome) {
    features.at(mechanism) = feature_from(outcome, kRows[static_cast<size_t>(mechanism)].advice);
  };
  ask(Mechanism::Landlock, probe_landlock());
  ask(Mechanism::OtherUser, ::geteuid() == 0 ? ProbeOutcome{} : ProbeOutcome{EPERM, 0, "not root"});
  ask(Mechanism::TerminalInjectionOff, probe_terminal_injection_off());
  // No guarantee rests on it.
  features.remove(Mechanism::PtraceScope, "not looked at");
  return features;
}

int HostFeatures::landlock_abi() const {
  return has(Mechanism::Landlock) ? (*this)[Mechanism::Landlock].level : 0;
}

void HostFeatures::remove(Mechanism mechanism, std::string reason) {
  at(mechanism) = {false, 0, std::move(reason)};
}

}  // namespace vitrine::sandbox
