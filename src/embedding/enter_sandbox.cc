// EnterSandbox: see include/vitrine/sandbox.h. Nothing here allocates or throws; it is part of programs that
// have little else.
#include <dirent.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <iterator>

#include "vitrine/sandbox.h"

namespace {

/// How many threads this process has; −1 with errno.
int count_threads() {
  DIR* tasks = ::opendir("/proc/self/task");
  if (tasks == nullptr) return -1;
  int count = 0;
  while (const dirent* entry = ::readdir(tasks)) count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(tasks);
  return count;
}

/// The same four calls by a filter, for where a filter is in force already: then the kernel has no strict
/// mode (seccomp(2), EINVAL). Other entries into the kernel have another architecture or, x32, other numbers.
int enter_by_filter() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

}  // namespace

int EnterSandbox(void) {
  const int threads = count_threads();
  if (threads < 0) return -1;
  if (threads != 1) {
    errno = EBUSY;
    return -1;
  }
  if (::syscall(SYS_close_range, 3U, UINT_MAX, 0U) != 0) return -1;
  // seccomp(2): read, write, exit and sigreturn stay. Irrevocable.
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0) return 0;
  // EPERM: that filter denies it.
  return errno == EINVAL || errno == EPERM ? enter_by_filter() : -1;
}

void LeaveSandbox(int status) {
  // exit_group, which _exit() uses, is not among the permitted calls.
  while (true) ::syscall(SYS_exit, status);
}
