// How long system calls take: `calls N` prints nanoseconds for each of three, the best of N rounds; `calls N
// CALL` for that one, under the cheapest filter that refuses of it what a box refuses: one written for this
// call alone.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 200000, X32_BIT = 0x40000000 };

#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(test, value, yes, no) BPF_JUMP(BPF_JMP | test | BPF_K, value, yes, no)
// What every filter needs that cares for one call: no other way into the kernel, and all other calls allowed.
#define ONLY(call)                                                                                        \
  LOAD(arch), IF(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0), REFUSE, LOAD(nr), IF(BPF_JGE, X32_BIT, 0, 1), REFUSE, \
      IF(BPF_JEQ, call, 1, 0), ALLOW

// The kernel remembers that this one allows everything, and does not run it.
static struct sock_filter for_getppid[] = {ALLOW};
// F_DUPFD to F_SETLKW; the open file description locks; F_DUPFD_CLOEXEC; F_GETPIPE_SZ, F_ADD_SEALS,
// F_GET_SEALS.
static struct sock_filter for_fcntl[] = {ONLY(SYS_fcntl),
                                         LOAD(args[1]),
                                         IF(BPF_JGE, F_SETOWN, 1, 0),
                                         ALLOW,
                                         IF(BPF_JEQ, F_DUPFD_CLOEXEC, 4, 0),
                                         IF(BPF_JGE, F_GET_SEALS + 1, 4, 0),
                                         IF(BPF_JGE, F_GETPIPE_SZ, 2, 0),
                                         IF(BPF_JGE, F_OFD_SETLKW + 1, 2, 0),
                                         IF(BPF_JGE, F_OFD_GETLK, 0, 1),
                                         ALLOW,
                                         REFUSE};
static struct sock_filter for_mprotect[] = {ONLY(SYS_mprotect), LOAD(args[2]), IF(BPF_JSET, PROT_EXEC, 1, 0),
                                            ALLOW, REFUSE};

static const struct {
  const char* name;
  struct sock_fprog filter;
} kinds[] = {{"getppid", {sizeof for_getppid / sizeof *for_getppid, for_getppid}},
             {"fcntl", {sizeof for_fcntl / sizeof *for_fcntl, for_fcntl}},
             {"mprotect", {sizeof for_mprotect / sizeof *for_mprotect, for_mprotect}}};

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void one(int kind) {
  switch (kind) {
    case 0: syscall(SYS_getppid); break;            // Allowed without a condition.
    case 1: syscall(SYS_fcntl, 0, F_GETFD); break;  // Looked up by an argument.
    default: syscall(SYS_mprotect, 0, 0, PROT_READ); break;
  }
}

static void measure(int kind, int rounds) {
  double best = 1e18;
  for (; rounds > 0; --rounds) {
    const double start = now();
    for (int i = 0; i < CALLS; ++i) one(kind);
    const double taken = (now() - start) / CALLS;
    if (taken < best) best = taken;
  }
  printf("%s %.1f\n", kinds[kind].name, best);
}

int main(int count, char** words) {
  const int rounds = count > 1 ? atoi(words[1]) : 5;
  for (int kind = 0; kind < 3; ++kind) {
    if (count > 2 && strcmp(words[2], kinds[kind].name) != 0) continue;
    if (count > 2 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
                      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &kinds[kind].filter) != 0)) {
      return 1;
    }
    measure(kind, rounds);
    if (count > 2) {
      // It refuses what it is for.
      const int refused = kind == 0 || (kind == 1 ? fcntl(0, F_SETOWN, 1) : mprotect(0, 0, PROT_EXEC)) == -1;
      if (!refused) return 1;
    }
  }
  return 0;
}
