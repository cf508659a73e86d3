#include "sandbox/system_calls.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/audit.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <iterator>

namespace vitrine::sandbox {
namespace {

using enum Right;

constexpr Condition equal(uint8_t argument, uint64_t value) {
  return {Test::Equal, argument, 0, value};
}
constexpr Condition masked(uint8_t argument, uint64_t mask, uint64_t value) {
  return {Test::MaskedEqual, argument, mask, value};
}

// socket(2): the type shares its argument with SOCK_CLOEXEC and SOCK_NONBLOCK.
constexpr uint64_t kSocketType = 0xf;
// The kernel looks at 32 bits of these arguments; a filter sees 64.
constexpr uint64_t kInt = 0xffffffff;
// clone(2): what makes a namespace, shares an I/O context, or asks to be traced.
constexpr uint64_t kCloneForbidden = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_IO | CLONE_PTRACE;

constexpr CallRow kTable[] = {
    // Descriptors that it was given.
    {SYS_read, Compute},
    {SYS_write, Compute},
    {SYS_readv, Compute},
    {SYS_writev, Compute},
    {SYS_pread64, Compute},
    {SYS_pwrite64, Compute},
    {SYS_preadv, Compute},
    {SYS_pwritev, Compute},
    {SYS_preadv2, Compute},
    {SYS_pwritev2, Compute},
    {SYS_close, Compute},
    {SYS_close_range, Compute},
    {SYS_lseek, Compute},
    {SYS_fstat, Compute},
    {SYS_dup, Compute},
    {SYS_dup2, Compute},
    {SYS_dup3, Compute},
    {SYS_pipe, Compute},
    {SYS_pipe2, Compute},
    {SYS_poll, Compute},
    {SYS_ppoll, Compute},
    {SYS_select, Compute},
    {SYS_pselect6, Compute},
    {SYS_epoll_create, Compute},
    {SYS_epoll_create1, Compute},
    {SYS_epoll_ctl, Compute},
    {SYS_epoll_wait, Compute},
    {SYS_epoll_pwait, Compute},
    {SYS_epoll_pwait2, Compute},
    {SYS_eventfd, Compute},
    {SYS_eventfd2, Compute},
    {SYS_timerfd_create, Compute},
    {SYS_timerfd_settime, Compute},
    {SYS_timerfd_gettime, Compute},
    {SYS_signalfd, Compute},
    {SYS_signalfd4, Compute},
    {SYS_ftruncate, Compute},
    {SYS_fsync, Compute},
    {SYS_fdatasync, Compute},
    {SYS_fadvise64, Compute},
    {SYS_flock, Compute},
    {SYS_sendfile, Compute},
    {SYS_copy_file_range, Compute},
    // fcntl(2): not F_SETOWN and F_SETSIG, which make the kernel send a signal of one's choice to another
    // process.
    {SYS_fcntl, Compute, {masked(1, kInt, F_DUPFD)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_DUPFD_CLOEXEC)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_GETFD)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_SETFD)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_GETFL)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_SETFL)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_GETLK)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_SETLK)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_SETLKW)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_OFD_GETLK)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_OFD_SETLK)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_OFD_SETLKW)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_GETPIPE_SZ)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_ADD_SEALS)}},
    {SYS_fcntl, Compute, {masked(1, kInt, F_GET_SEALS)}},
    // ioctl(2): questions that programs ask before they write; nothing that changes a terminal or types into
    // it.
    {SYS_ioctl, Compute, {masked(1, kInt, TCGETS)}},
    {SYS_ioctl, Compute, {masked(1, kInt, TIOCGWINSZ)}},
    {SYS_ioctl, Compute, {masked(1, kInt, TIOCGPGRP)}},
    {SYS_ioctl, Compute, {masked(1, kInt, FIONREAD)}},
    {SYS_ioctl, Compute, {masked(1, kInt, FIONBIO)}},
    {SYS_ioctl, Compute, {masked(1, kInt, FIOCLEX)}},
    {SYS_ioctl, Compute, {masked(1, kInt, FIONCLEX)}},
    // A pair of sockets. Not datagrams: those can be sent to a name, which a connected stream cannot.
    {SYS_socketpair, Compute, {masked(0, kInt, AF_UNIX), masked(1, kSocketType, SOCK_STREAM)}},
    {SYS_socketpair, Compute, {masked(0, kInt, AF_UNIX), masked(1, kSocketType, SOCK_SEQPACKET)}},
    {SYS_sendto, Compute},
    {SYS_sendmsg, Compute},
    {SYS_sendmmsg, Compute},
    {SYS_recvfrom, Compute},
    {SYS_recvmsg, Compute},
    {SYS_recvmmsg, Compute},
    {SYS_shutdown, Compute},
    {SYS_getsockopt, Compute},
    {SYS_getsockname, Compute},
    {SYS_getpeername, Compute},
    // Memory.
    {SYS_brk, Compute},
    {SYS_munmap, Compute},
    {SYS_madvise, Compute},
    {SYS_msync, Compute},
    {SYS_mincore, Compute},
    {SYS_mlock, Compute},
    {SYS_munlock, Compute},
    {SYS_membarrier, Compute},
    {SYS_mprotect, Compute, {masked(2, PROT_EXEC, 0)}},
    // mmap and mremap have rows of the filter's own: their conditions depend on the policy.
    {SYS_mmap, MapFiles, {masked(2, PROT_WRITE | PROT_EXEC, PROT_EXEC), masked(3, MAP_ANONYMOUS, 0)}},
    {SYS_mmap, ExecutableMemory},
    {SYS_mprotect, ExecutableMemory},
    {SYS_pkey_mprotect, ExecutableMemory},
    {SYS_memfd_create, ExecutableMemory},
    // Time.
    {SYS_clock_gettime, Compute},
    {SYS_clock_getres, Compute},
    {SYS_clock_nanosleep, Compute},
    {SYS_nanosleep, Compute},
    {SYS_gettimeofday, Compute},
    {SYS_time, Compute},
    {SYS_times, Compute},
    {SYS_getrusage, Compute},
    {SYS_getitimer, Compute},
    {SYS_setitimer, Compute},
    {SYS_alarm, Compute},
    {SYS_timer_create, Compute},
    {SYS_timer_settime, Compute},
    {SYS_timer_gettime, Compute},
    {SYS_timer_getoverrun, Compute},
    {SYS_timer_delete, Compute},
    // Itself.
    {SYS_exit, Compute},
    {SYS_exit_group, Compute},
    {SYS_getpid, Compute},
    {SYS_getppid, Compute},
    {SYS_gettid, Compute},
    {SYS_getpgrp, Compute},
    {SYS_getpgid, Compute},
    {SYS_getsid, Compute},
    {SYS_getuid, Compute},
    {SYS_geteuid, Compute},
    {SYS_getgid, Compute},
    {SYS_getegid, Compute},
    {SYS_getresuid, Compute},
    {SYS_getresgid, Compute},
    {SYS_getgroups, Compute},
    {SYS_getpriority, Compute},
    {SYS_capget, Compute},
    {SYS_getrlimit, Compute},
    // Its own: without a capability no hard limit can be raised.
    {SYS_prlimit64, Compute, {masked(0, kInt, 0)}},
    {SYS_setrlimit, Compute},
    {SYS_uname, Compute},
    {SYS_sysinfo, Compute},
    {SYS_getcpu, Compute},
    {SYS_getrandom, Compute},
    {SYS_umask, Compute},
    {SYS_personality, Compute, {masked(0, kInt, 0xffffffff)}},
    {SYS_arch_prctl, Compute, {masked(0, kInt, ARCH_SET_FS)}},
    {SYS_arch_prctl, Compute, {masked(0, kInt, ARCH_GET_FS)}},
    {SYS_arch_prctl, Compute, {masked(0, kInt, ARCH_SET_GS)}},
    {SYS_arch_prctl, Compute, {masked(0, kInt, ARCH_GET_GS)}},
    {SYS_prctl, Compute, {masked(0, kInt, PR_SET_NAME)}},
    {SYS_prctl, Compute, {masked(0, kInt, PR_GET_NAME)}},
    {SYS_prctl, Compute, {masked(0, kInt, PR_GET_DUMPABLE)}},
    {SYS_prctl, Compute, {masked(0, kInt, PR_GET_NO_NEW_PRIVS)}},
    {SYS_prctl, Compute, {masked(0, kInt, PR_CAPBSET_READ)}},
    // A further filter on itself can only take away: of all filters the strictest answer counts (seccomp(2)).
    {SYS_prctl, Compute, {masked(0, kInt, PR_SET_SECCOMP), equal(1, SECCOMP_MODE_FILTER)}},
    {SYS_prctl, Compute, {masked(0, kInt, PR_SET_VMA)}},
    {SYS_set_tid_address, Compute},
    {SYS_set_robust_list, Compute},
    {SYS_get_robust_list, Compute},
    {SYS_rseq, Compute},
    {SYS_futex, Compute},
    {SYS_futex_waitv, Compute},
    {SYS_restart_syscall, Compute},
    {SYS_rt_sigaction, Compute},
    {SYS_rt_sigprocmask, Compute},
    {SYS_rt_sigreturn, Compute},
    {SYS_rt_sigpending, Compute},
    {SYS_rt_sigsuspend, Compute},
    {SYS_rt_sigtimedwait, Compute},
    {SYS_sigaltstack, Compute},
    {SYS_pause, Compute},
    {SYS_sched_yield, Compute},
    {SYS_sched_getaffinity, Compute},
    {SYS_sched_getparam, Compute},
    {SYS_sched_getscheduler, Compute},
    {SYS_sched_get_priority_max, Compute},
    {SYS_sched_get_priority_min, Compute},
    // Where nothing else keeps other processes apart the filter restricts these to itself.
    {SYS_kill, SignalOthers},
    {SYS_tkill, SignalOthers},
    {SYS_tgkill, SignalOthers},
    {SYS_rt_sigqueueinfo, SignalOthers},
    {SYS_rt_tgsigqueueinfo, SignalOthers},
    // Paths.
    {SYS_open, Files},
    {SYS_openat, Files},
    {SYS_openat2, Files},
    {SYS_stat, Files},
    {SYS_lstat, Files},
    {SYS_newfstatat, Files},
    {SYS_statx, Files},
    {SYS_access, Files},
    {SYS_faccessat, Files},
    {SYS_faccessat2, Files},
    {SYS_readlink, Files},
    {SYS_readlinkat, Files},
    {SYS_getdents, Files},
    {SYS_getdents64, Files},
    {SYS_getcwd, Files},
    {SYS_chdir, Files},
    {SYS_fchdir, Files},
    {SYS_statfs, Files},
    {SYS_fstatfs, Files},
    {SYS_getxattr, Files},
    {SYS_lgetxattr, Files},
    {SYS_fgetxattr, Files},
    {SYS_listxattr, Files},
    {SYS_llistxattr, Files},
    {SYS_flistxattr, Files},
    {SYS_creat, ChangeFiles},
    {SYS_mkdir, ChangeFiles},
    {SYS_mkdirat, ChangeFiles},
    {SYS_rmdir, ChangeFiles},
    {SYS_unlink, ChangeFiles},
    {SYS_unlinkat, ChangeFiles},
    {SYS_rename, ChangeFiles},
    {SYS_renameat, ChangeFiles},
    {SYS_renameat2, ChangeFiles},
    {SYS_link, ChangeFiles},
    {SYS_linkat, ChangeFiles},
    {SYS_symlink, ChangeFiles},
    {SYS_symlinkat, ChangeFiles},
    {SYS_truncate, ChangeFiles},
    {SYS_fallocate, ChangeFiles},
    {SYS_utime, ChangeFiles},
    {SYS_utimes, ChangeFiles},
    {SYS_futimesat, ChangeFiles},
    {SYS_utimensat, ChangeFiles},
    {SYS_chmod, ChangeFiles},
    {SYS_fchmod, ChangeFiles},
    {SYS_fchmodat, ChangeFiles},
    // Processes and threads. clone3 takes its flags by pointer, where no filter can look: ENOSYS, and the C
    // library
    // falls back on clone.
    {SYS_fork, Processes},
    {SYS_vfork, Processes},
    {SYS_clone, Processes, {masked(0, kCloneForbidden, 0)}},
    {SYS_wait4, Processes},
    {SYS_waitid, Processes},
    {SYS_setpgid, Sessions},
    {SYS_setsid, Sessions},
    {SYS_sched_setaffinity, Processes},
    {SYS_execve, Programs},
    {SYS_execveat, Programs},
    // A network of its own.
    {SYS_socket, Loopback, {masked(0, kInt, AF_INET), masked(1, kSocketType, SOCK_STREAM)}},
    {SYS_socket, Loopback, {masked(0, kInt, AF_INET), masked(1, kSocketType, SOCK_DGRAM)}},
    {SYS_socket, Loopback, {masked(0, kInt, AF_INET6), masked(1, kSocketType, SOCK_STREAM)}},
    {SYS_socket, Loopback, {masked(0, kInt, AF_INET6), masked(1, kSocketType, SOCK_DGRAM)}},
    {SYS_socket, Loopback, {masked(0, kInt, AF_UNIX)}},
    {SYS_socketpair, Loopback, {masked(0, kInt, AF_UNIX)}},
    {SYS_bind, Loopback},
    {SYS_listen, Loopback},
    {SYS_accept, Loopback},
    {SYS_accept4, Loopback},
    {SYS_connect, Loopback},
    {SYS_setsockopt, Loopback},
};

/// The last call of the headers that the table was written with.
constexpr int kNewestKnown = 450;

bool is_io_uring(int number) {
  return number == SYS_io_uring_setup || number == SYS_io_uring_enter || number == SYS_io_uring_register;
}

}  // namespace

bool holds(const Condition& condition, std::span<const uint64_t, 6> arguments) {
  const uint64_t value = arguments[condition.argument];
  switch (condition.test) {
    case Test::None: return true;
    case Test::Equal: return value == condition.value;
    case Test::NotAbove: return value <= condition.value;
    case Test::MaskedEqual: return (value & condition.mask) == condition.value;
  }
  return false;
}

std::span<const CallRow> call_table() {
  return kTable;
}

std::string_view right_name(Right right) {
  switch (right) {
    case Compute: return "compute";
    case Files: return "read files";
    case ChangeFiles: return "change files";
    case MapFiles: return "map files executable";
    case Processes: return "have more processes or threads";
    case Programs: return "start programs";
    case ExecutableMemory: return "make memory executable";
    case Loopback: return "use a loopback network";
    case LargeMemory: return "have more memory";
    case SignalOthers: return "signal processes";
    case Sessions: return "leave its process group (on a host without PID namespaces)";
    case Never: return "none that a policy gives";
  }
  return "";
}

std::string_view right_rule(Right right) {
  switch (right) {
    case Files: return "Policy::read(path)";
    case ChangeFiles: return "Policy::read_and_write(path)";
    case Processes: return "Policy::limit({.processes = N})";
    case Programs: return "Policy::allow(MayStartPrograms{})";
    case MapFiles:
    case ExecutableMemory: return "Policy::allow(MayMapExecutableMemory{})";
    case Loopback: return "Policy::allow(MayUseLoopback{})";
    case LargeMemory: return "Policy::limit({.memory = BYTES})";
    default: return "";
  }
}

std::string call_name(uint32_t architecture, int number) {
  const bool wide = architecture == AUDIT_ARCH_X86_64;
  if (wide && (static_cast<uint32_t>(number) & 0x40000000U) != 0) {
    return fmt::format("{} by the x32 entry", call_name(architecture, number & ~0x40000000));
  }
  char* name = ::seccomp_syscall_resolve_num_arch(wide ? SCMP_ARCH_X86_64 : SCMP_ARCH_X86, number);
  std::string text = name != nullptr ? std::string(name) : fmt::format("call {}", number);
  ::free(name);
  return wide ? text : text + " by the 32-bit entry";
}

Right right_needed(int number, std::span<const uint64_t, 6> arguments, uint32_t rights_held) {
  const auto lacks = [&](Right right) { return (rights_held >> static_cast<unsigned>(right) & 1) == 0; };
  if (number == SYS_mremap) return LargeMemory;
  if (number == SYS_mmap && (arguments[2] & PROT_EXEC) == 0) return LargeMemory;
  for (const CallRow& row : kTable) {
    if (row.number != number || !lacks(row.right)) continue;
    if (holds(row.conditions[0], arguments) && holds(row.conditions[1], arguments)) return row.right;
  }
  return Never;
}

int errno_for_denied(int number, Right missing) {
  if (number == SYS_clone3 || is_io_uring(number) || number > kNewestKnown) return ENOSYS;
  if (missing == LargeMemory) return ENOMEM;
  return EPERM;
}

int path_argument(int number) {
  switch (number) {
    case SYS_open:
    case SYS_creat:
    case SYS_stat:
    case SYS_lstat:
    case SYS_access:
    case SYS_readlink:
    case SYS_chdir:
    case SYS_mkdir:
    case SYS_rmdir:
    case SYS_unlink:
    case SYS_truncate:
    case SYS_chmod:
    case SYS_statfs:
    case SYS_rename:
    case SYS_link:
    case SYS_execve: return 0;
    case SYS_openat:
    case SYS_openat2:
    case SYS_newfstatat:
    case SYS_statx:
    case SYS_faccessat:
    case SYS_faccessat2:
    case SYS_readlinkat:
    case SYS_mkdirat:
    case SYS_unlinkat:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_linkat:
    case SYS_utimensat:
    case SYS_fchmodat:
    case SYS_symlink:
    case SYS_execveat: return 1;
    case SYS_symlinkat: return 2;
    default: return -1;
  }
}

bool is_told(const CallRow& row) {
  return (row.right == Right::Files || row.right == Right::ChangeFiles) && path_argument(row.number) >= 0;
}

}  // namespace vitrine::sandbox
