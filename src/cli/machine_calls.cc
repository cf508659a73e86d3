#include "cli/machine_calls.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>

namespace vitrine::cli {
namespace {

using sandbox::Condition;
using sandbox::FilterRule;
using sandbox::Test;

// Linux looks at 32 bits of these arguments; a filter sees 64.
constexpr uint64_t kInt = 0xffffffff;

constexpr Condition equal(uint8_t argument, uint64_t value) {
  return {Test::Equal, argument, 0, value};
}
constexpr Condition equal_int(uint8_t argument, uint64_t value) {
  return {Test::MaskedEqual, argument, kInt, value};
}
constexpr Condition without(uint8_t argument, uint64_t bits) {
  return {Test::MaskedEqual, argument, bits, 0};
}
constexpr FilterRule allow(int number, std::array<Condition, 2> conditions = {}) {
  return {number, SECCOMP_RET_ALLOW, conditions};
}
constexpr FilterRule fails(int number, int error, Condition condition = {}) {
  return {number, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error), {condition}};
}

// As glibc 2.36's pthread_create has them.
constexpr uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND |
                                  CLONE_THREAD | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

constexpr FilterRule kAlways[] = {
    // What it holds.
    allow(SYS_read),
    allow(SYS_write),
    allow(SYS_readv),
    allow(SYS_writev),
    allow(SYS_pread64),
    allow(SYS_pwrite64),
    allow(SYS_preadv),
    allow(SYS_pwritev),
    allow(SYS_lseek),
    allow(SYS_fsync),
    allow(SYS_fdatasync),
    allow(SYS_fstat),
    allow(SYS_ftruncate),
    allow(SYS_fallocate),
    allow(SYS_poll),
    allow(SYS_ppoll),
    allow(SYS_epoll_wait),
    allow(SYS_epoll_pwait),
    allow(SYS_epoll_ctl),
    // Peers that others have let in: who is connected already needs no address, and nobody is told of any.
    allow(SYS_accept4),
    allow(SYS_shutdown),
    allow(SYS_recvfrom),
    allow(SYS_sendto, {equal(4, 0)}),
    allow(SYS_setsockopt, {equal_int(1, IPPROTO_TCP), equal_int(2, TCP_NODELAY)}),
    // A question that the C library asks before it writes.
    allow(SYS_ioctl, {equal_int(1, TCGETS)}),
    // Memory.
    allow(SYS_munmap),
    allow(SYS_madvise),
    allow(SYS_mincore),
    allow(SYS_brk),
    // Time.
    allow(SYS_clock_gettime),
    allow(SYS_clock_getres),
    allow(SYS_clock_nanosleep),
    allow(SYS_nanosleep),
    allow(SYS_gettimeofday),
    allow(SYS_timer_create),
    allow(SYS_timer_settime),
    allow(SYS_timer_gettime),
    allow(SYS_timer_getoverrun),
    allow(SYS_timer_delete),
    // Itself.
    allow(SYS_exit),
    allow(SYS_exit_group),
    allow(SYS_getpid),
    allow(SYS_gettid),
    allow(SYS_futex),
    allow(SYS_membarrier),
    allow(SYS_rseq),
    allow(SYS_set_robust_list),
    allow(SYS_rt_sigaction),
    allow(SYS_rt_sigprocmask),
    allow(SYS_rt_sigreturn),
    allow(SYS_sigaltstack),
    allow(SYS_restart_syscall),
    allow(SYS_getrandom),
    allow(SYS_sched_yield),
    allow(SYS_sched_getaffinity, {equal_int(0, 0)}),
    allow(SYS_sched_getscheduler, {equal_int(0, 0)}),
    allow(SYS_sched_getparam, {equal_int(0, 0)}),
    allow(SYS_sched_setscheduler, {equal_int(0, 0)}),
    allow(SYS_sched_get_priority_min),
    allow(SYS_prctl, {equal_int(0, PR_SET_TIMERSLACK)}),
    allow(SYS_prlimit64, {equal_int(0, 0), equal(2, 0)}),
    // Hosts without FSGSBASE: the window that the guest's addresses are relative to.
    allow(SYS_arch_prctl, {equal_int(0, ARCH_SET_GS)}),
    allow(SYS_arch_prctl, {equal_int(0, ARCH_GET_GS)}),
    // What the C library tries, and does without.
    fails(SYS_clone3, ENOSYS),
    fails(SYS_mremap, ENOMEM),
    fails(SYS_openat, EACCES, equal_int(2, O_RDONLY | O_CLOEXEC)),
};

constexpr FilterRule kBuilding[] = {
    allow(SYS_mmap),
    allow(SYS_mprotect),
    allow(SYS_memfd_create),
    allow(SYS_fcntl, {equal_int(1, F_ADD_SEALS)}),
    allow(SYS_eventfd2),
    allow(SYS_epoll_create1),
    // fstat(3) is this call with an empty path.
    allow(SYS_newfstatat, {equal_int(3, AT_EMPTY_PATH)}),
    allow(SYS_ioctl, {equal_int(1, BLKGETSIZE64)}),
    allow(SYS_clone, {equal(0, kThreadFlags)}),
    allow(SYS_prlimit64, {equal_int(0, 0)}),
    allow(SYS_seccomp),
};

constexpr FilterRule kRunning[] = {
    // Nothing executable; and what has no file is private, so that the limit on data holds for it.
    allow(SYS_mmap, {without(2, PROT_EXEC), without(3, MAP_ANONYMOUS)}),
    allow(SYS_mmap, {without(2, PROT_EXEC), without(3, MAP_SHARED)}),
    fails(SYS_newfstatat, EACCES),
};

// Shadow paging makes thousands of these a second, and of a call that is always allowed the kernel remembers
// that: so no condition where it would refuse the same itself (with EACCES).
FilterRule protection(bool kernel_refuses) {
  return kernel_refuses ? allow(SYS_mprotect) : allow(SYS_mprotect, {without(2, PROT_EXEC)});
}

}  // namespace

std::vector<FilterRule> machine_calls(MachinePhase phase, const MachineCaller& caller) {
  std::vector<FilterRule> rules(std::begin(kAlways), std::end(kAlways));
  const auto number = static_cast<uint64_t>(caller.channel);
  // It is the largest, and stays what it is: nothing else takes its number.
  rules.push_back(allow(SYS_close, {Condition{Test::NotAbove, 0, 0, number - 1}}));
  rules.push_back(allow(SYS_sendmsg, {equal(0, number)}));
  rules.push_back(allow(SYS_recvmsg, {equal(0, number)}));
  rules.push_back(allow(SYS_tgkill, {equal_int(0, static_cast<uint64_t>(caller.own))}));
  if (phase == MachinePhase::Building) {
    rules.insert(rules.end(), std::begin(kBuilding), std::end(kBuilding));
  } else {
    rules.insert(rules.end(), std::begin(kRunning), std::end(kRunning));
    rules.push_back(protection(caller.denies_write_execute));
  }
  return rules;
}

}  // namespace vitrine::cli
