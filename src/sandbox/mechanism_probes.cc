#include "sandbox/mechanism_probes.h"

#include <grp.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>

#include "sandbox/kernel_calls.h"
#include "sandbox/user_namespace.h"

namespace vitrine::sandbox {
namespace {

constexpr unsigned kNobody = 65534;
constexpr ProbeOutcome kWorks{};

ProbeOutcome missing(int error, const char* step) {
  errno = error;
  return failed_probe(step);
}

/// A first character of a small file, or -1: enough for the switches of /proc/sys.
int first_character(const char* path) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  char character = 0;
  const bool read = ::read(file, &character, 1) == 1;
  ::close(file);
  return read ? character : -1;
}

/// With root's rights alone, or in a user namespace of one's own: as confinement will do it.
bool unshare_somehow(int flags) {
  return ::unshare(flags) == 0 || ::unshare(CLONE_NEWUSER | flags) == 0;
}

ProbeOutcome probe_namespace(int flag, const char* step) {
  return unshare_somehow(flag) ? kWorks : failed_probe(step);
}

int install_filter(uint32_t action, unsigned flags) {
  sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_kexec_load},
                        {BPF_RET | BPF_K, 0, 0, action},
                        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program{std::size(code), code};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

}  // namespace

ProbeOutcome failed_probe(const char* step) {
  ProbeOutcome outcome{errno, 0, {}};
  ::strncpy(outcome.step, step, sizeof outcome.step - 1);
  return outcome;
}

ProbeOutcome probe_seccomp_filter() {
  if (install_filter(SECCOMP_RET_ERRNO | ENOTNAM, 0) != 0) return failed_probe("seccomp(SET_MODE_FILTER)");
  if (::syscall(SYS_kexec_load, 0, 0, nullptr, 0) != -1 || errno != ENOTNAM) {
    return missing(EINVAL, "the filter has no effect");
  }
  return kWorks;
}

ProbeOutcome probe_seccomp_strict() {
  // What works ends with a kill of a child's child: strict mode leaves exit(2), not exit_group(2).
  const long pid = clone_process(SIGCHLD, nullptr);
  if (pid < 0) return failed_probe("clone");
  if (pid == 0) {
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) ::syscall(SYS_exit, errno);
    ::syscall(SYS_getpid);
    ::syscall(SYS_exit, EINVAL);
  }
  int status = 0;
  if (::waitpid(static_cast<pid_t>(pid), &status, 0) < 0) return failed_probe("waitpid");
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return kWorks;
  return missing(WEXITSTATUS(status), "prctl(PR_SET_SECCOMP, STRICT)");
}

ProbeOutcome probe_seccomp_notification() {
  return install_filter(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0
             ? kWorks
             : failed_probe("seccomp(NEW_LISTENER)");
}

ProbeOutcome probe_no_new_privileges() {
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? kWorks : failed_probe("prctl(PR_SET_NO_NEW_PRIVS)");
}

ProbeOutcome probe_landlock() {
  const int abi = landlock_create_ruleset(nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 0) return failed_probe("landlock_create_ruleset");
  ProbeOutcome outcome;
  outcome.level = abi;
  return outcome;
}

ProbeOutcome probe_user_namespace() {
  if (::unshare(CLONE_NEWUSER) != 0) return failed_probe("unshare(CLONE_NEWUSER)");
  // Some distributions let everybody make one, but give no rights inside it.
  return ::unshare(CLONE_NEWUTS) == 0 ? kWorks : failed_probe("unshare(CLONE_NEWUTS) inside it");
}

ProbeOutcome probe_mount_namespace() {
  if (!unshare_somehow(CLONE_NEWNS)) return failed_probe("unshare(CLONE_NEWNS)");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return failed_probe("mount(MS_PRIVATE)");
  if (::mount("tmpfs", "/", "tmpfs", 0, nullptr) != 0) return failed_probe("mount(tmpfs)");
  const int tree = open_tree(AT_FDCWD, "/dev", kOpenTreeClone | kRecursive);
  if (tree < 0) return failed_probe("open_tree");
  const MountAttributes attributes{kMountReadOnly | kMountNoSetuid, 0, 0, 0};
  return mount_setattr(tree, "", AT_EMPTY_PATH | kRecursive, attributes) == 0 ? kWorks
                                                                              : failed_probe("mount_setattr");
}

ProbeOutcome probe_pid_namespace() {
  if (!unshare_somehow(CLONE_NEWPID)) return failed_probe("unshare(CLONE_NEWPID)");
  const long pid = clone_process(SIGCHLD, nullptr);
  if (pid < 0) return failed_probe("clone in the namespace");
  if (pid == 0) ::_exit(::syscall(SYS_getpid) == 1 ? 0 : 1);
  int status = 0;
  if (::waitpid(static_cast<pid_t>(pid), &status, 0) < 0) return failed_probe("waitpid");
  return status == 0 ? kWorks : missing(EINVAL, "the first process is not number 1");
}

ProbeOutcome probe_proc_file_system() {
  if (!unshare_somehow(CLONE_NEWPID | CLONE_NEWNS)) return failed_probe("unshare(CLONE_NEWPID|CLONE_NEWNS)");
  const long pid = clone_process(SIGCHLD, nullptr);
  if (pid < 0) return failed_probe("clone in the namespace");
  if (pid == 0) {
    const bool mounted =
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2,subset=pid") == 0;
    ::_exit(mounted ? 0 : errno);
  }
  int status = 0;
  if (::waitpid(static_cast<pid_t>(pid), &status, 0) < 0) return failed_probe("waitpid");
  return status == 0 ? kWorks : missing(WEXITSTATUS(status), "mount(proc, subset=pid)");
}

ProbeOutcome probe_network_namespace() {
  if (!unshare_somehow(CLONE_NEWNET)) return failed_probe("unshare(CLONE_NEWNET)");
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return failed_probe("socket");
  ifreq request{};
  ::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP;
  return ::ioctl(socket, SIOCSIFFLAGS, &request) == 0 ? kWorks : failed_probe("ioctl(SIOCSIFFLAGS)");
}

ProbeOutcome probe_ipc_namespace() {
  return probe_namespace(CLONE_NEWIPC, "unshare(CLONE_NEWIPC)");
}

ProbeOutcome probe_uts_namespace() {
  return probe_namespace(CLONE_NEWUTS, "unshare(CLONE_NEWUTS)");
}

ProbeOutcome probe_cgroup_namespace() {
  return probe_namespace(CLONE_NEWCGROUP, "unshare(CLONE_NEWCGROUP)");
}

ProbeOutcome probe_time_namespace() {
  return probe_namespace(CLONE_NEWTIME, "unshare(CLONE_NEWTIME)");
}

ProbeOutcome probe_other_user() {
  if (::geteuid() != 0) return missing(EPERM, "not root");
  if (::syscall(SYS_setgroups, 0, nullptr) != 0) return failed_probe("setgroups");
  if (::syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0) return failed_probe("setresgid");
  return ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0 ? kWorks : failed_probe("setresuid");
}

ProbeOutcome probe_id_mapped_mount() {
  if (::geteuid() != 0) return missing(EPERM, "not root");
  if (::unshare(CLONE_NEWNS) != 0) return failed_probe("unshare(CLONE_NEWNS)");
  // A namespace that maps root to another user, held by a child's child.
  int gate[2];
  if (::pipe2(gate, O_CLOEXEC) != 0) return failed_probe("pipe2");
  int pidfd = -1;
  const long pid = clone_process(CLONE_NEWUSER | CLONE_PIDFD | SIGCHLD, &pidfd);
  if (pid < 0) return failed_probe("clone(CLONE_NEWUSER)");
  if (pid == 0) {
    char byte = 0;
    ::close(gate[1]);
    ::_exit(::read(gate[0], &byte, 1) == 0 ? 0 : 1);
  }
  ProbeOutcome outcome = kWorks;
  const int tree = open_tree(AT_FDCWD, "/usr", kOpenTreeClone);
  if (tree < 0) outcome = failed_probe("open_tree");
  if (outcome.error == 0 && !write_id_maps(static_cast<int>(pid), 0, kNobody, 0, kNobody)) {
    outcome = failed_probe("uid_map");
  }
  if (outcome.error == 0) {
    const int space = open_user_namespace(static_cast<int>(pid));
    const MountAttributes attributes{kMountIdMap, 0, 0, static_cast<uint64_t>(space)};
    if (space < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, attributes) != 0) {
      outcome = failed_probe("mount_setattr(MOUNT_ATTR_IDMAP)");
    }
  }
  ::close(gate[1]);
  return outcome;
}

ProbeOutcome probe_resource_limits() {
  const rlimit limit{16, 16};
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return failed_probe("setrlimit");
  return ::fcntl(0, F_DUPFD, 16) < 0 ? kWorks : missing(EINVAL, "the limit has no effect");
}

ProbeOutcome probe_close_range() {
  return close_range(~0U - 1, ~0U) == 0 ? kWorks : failed_probe("close_range");
}

ProbeOutcome probe_pid_descriptor() {
  int pidfd = -1;
  const long pid = clone_process(CLONE_PIDFD | SIGCHLD, &pidfd);
  if (pid < 0) return failed_probe("clone(CLONE_PIDFD)");
  if (pid == 0) {
    ::pause();
    ::_exit(1);
  }
  const int sent = pidfd_send_signal(pidfd, SIGKILL);
  const int error = errno;
  if (sent != 0) ::kill(static_cast<pid_t>(pid), SIGKILL);
  return sent == 0 ? kWorks : missing(error, "pidfd_send_signal");
}

ProbeOutcome probe_subreaper() {
  return ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? kWorks
                                                          : failed_probe("prctl(PR_SET_CHILD_SUBREAPER)");
}

ProbeOutcome probe_parent_death_signal() {
  return ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 ? kWorks : failed_probe("prctl(PR_SET_PDEATHSIG)");
}

ProbeOutcome probe_session_keyring() {
  return ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0
             ? kWorks
             : failed_probe("keyctl(JOIN_SESSION_KEYRING)");
}

ProbeOutcome probe_deny_write_execute() {
  return ::prctl(kPrSetMdwe, kMdweRefuseExecGain, 0, 0, 0) == 0 ? kWorks : failed_probe("prctl(PR_SET_MDWE)");
}

ProbeOutcome probe_terminal_injection_off() {
  const int value = first_character("/proc/sys/dev/tty/legacy_tiocsti");
  if (value == '0') return kWorks;
  return missing(value < 0 ? ENOENT : EPERM, "dev.tty.legacy_tiocsti");
}

ProbeOutcome probe_ptrace_scope() {
  const int value = first_character("/proc/sys/kernel/yama/ptrace_scope");
  if (value > '0') return kWorks;
  return missing(value < 0 ? ENOENT : EPERM, "kernel.yama.ptrace_scope");
}

}  // namespace vitrine::sandbox
