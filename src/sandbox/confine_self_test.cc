// What a process has given up it cannot do any more, in all of its threads. Every test runs in a child, and
// does what it tries before as well: there it must work.
#include "sandbox/confine_self.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <semaphore>
#include <thread>

#include "sandbox/denied_call.h"
#include "sandbox/mechanism_probes.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_WITH_SANITIZER() GTEST_SKIP() << "a sanitizer's runtime makes calls of its own"
#else
#define SKIP_WITH_SANITIZER() (void)0
#endif

namespace vitrine::sandbox {
namespace {

constexpr int kSkipped = 77;

/// The status of waitpid for a child that runs `body`.
int in_child(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = -1;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

/// 0, or the number of the line that did not hold.
#define REQUIRE(condition) \
  if (!(condition)) return __LINE__ % 200 + 1
#define EXPECT_DONE(status)                                                                                \
  do {                                                                                                     \
    const int ended = (status);                                                                            \
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == kSkipped) GTEST_SKIP();                                  \
    EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0)                                               \
        << "signal " << (WIFSIGNALED(ended) ? WTERMSIG(ended) : 0) << ", line " << WEXITSTATUS(ended) - 1; \
  } while (false)

const std::vector<FilterRule>& little() {
  static const std::vector<FilterRule> kRules = [] {
    std::vector<FilterRule> rules;
    for (const int number : {SYS_exit_group, SYS_exit, SYS_futex, SYS_rt_sigprocmask, SYS_munmap, SYS_madvise,
                             SYS_write, SYS_rseq, SYS_seccomp}) {
      rules.push_back({number, SECCOMP_RET_ALLOW});
    }
    rules.push_back({SYS_getppid, SECCOMP_RET_ERRNO | EDOM});
    return rules;
  }();
  return kRules;
}

SelfFilter compiled(OtherCalls others) {
  return SelfFilter(little(), others);
}

TEST(ConfineSelf, CallsThatAreLeft) {
  SKIP_WITH_SANITIZER();
  const SelfFilter filter = compiled(OtherCalls::Fail);
  EXPECT_DONE(in_child([&] {
    SelfConfinement confinement;
    REQUIRE(::getppid() > 0 && ::syscall(SYS_getuid) >= 0);
    REQUIRE(confinement.give_up_privileges().has_value());
    REQUIRE(confinement.install(filter).has_value());
    REQUIRE(::syscall(SYS_getppid) == -1 && errno == EDOM);
    REQUIRE(::syscall(SYS_getuid) == -1 && errno == ENOSYS);
    return 0;
  }));
}

TEST(ConfineSelf, OneMoreKills) {
  SKIP_WITH_SANITIZER();
  const SelfFilter filter = compiled(OtherCalls::Kill);
  const int status = in_child([&] {
    SelfConfinement confinement;
    REQUIRE(confinement.give_up_privileges().has_value());
    REQUIRE(confinement.install(filter).has_value());
    return static_cast<int>(::syscall(SYS_getuid));
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

// Of two filters the second tells, though the first denies as well. The child shares our descriptors, so that
// its listener is ours.
TEST(ConfineSelf, OneMoreIsTold) {
  SKIP_WITH_SANITIZER();
  const SelfFilter first = compiled(OtherCalls::Fail), telling = compiled(OtherCalls::Tell);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const auto pid =
      static_cast<pid_t>(::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (pid == 0) {
    SelfConfinement confinement;
    int listener = -1;
    if (confinement.give_up_privileges() && confinement.install(first)) {
      auto told = confinement.install(telling);
      if (told) listener = told->release();
    }
    (void)!::write(ends[1], &listener, sizeof listener);
    ::syscall(SYS_getuid);
    ::_exit(0);
  }
  int listener = -1;
  ASSERT_EQ(::read(ends[0], &listener, sizeof listener), static_cast<ssize_t>(sizeof listener));
  ::close(ends[0]);
  ::close(ends[1]);
  const auto call = listener >= 0 ? take_denied_call(listener) : std::nullopt;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  if (listener < 0) GTEST_SKIP() << "no listeners here";
  ::close(listener);
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->data.nr, SYS_getuid);
}

TEST(ConfineSelf, AllThreads) {
  SKIP_WITH_SANITIZER();
  const SelfFilter filter = compiled(OtherCalls::Fail);
  EXPECT_DONE(in_child([&] {
    std::binary_semaphore confined(0), done(0);
    long before = 0, after = 0;
    std::binary_semaphore looked(0);
    std::thread other([&] {
      before = ::syscall(SYS_getuid);
      looked.release();
      confined.acquire();
      after = ::syscall(SYS_getuid);
      done.release();
    });
    looked.acquire();
    SelfConfinement confinement;
    REQUIRE(before >= 0);
    // A thread's own step: the filter needs it of the one that installs.
    REQUIRE(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    REQUIRE(confinement.install(filter).has_value());
    confined.release();
    done.acquire();
    REQUIRE(after == -1);
    ::_exit(0);
  }));
}

// A thread that has gone its own way cannot be synchronised: nothing is installed, and the Error says so.
TEST(ConfineSelf, AThreadThatIsLeftOutIsTold) {
  SKIP_WITH_SANITIZER();
  for (const OtherCalls others : {OtherCalls::Fail, OtherCalls::Tell}) {
    const SelfFilter filter = compiled(others);
    EXPECT_DONE(in_child([&] {
      std::binary_semaphore ready(0), end(0);
      std::thread other([&] {
        sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
        const sock_fprog program{1, code};
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        (void)::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
        ready.release();
        end.acquire();
      });
      ready.acquire();
      SelfConfinement confinement;
      REQUIRE(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
      const auto installed = confinement.install(filter);
      REQUIRE(!installed && installed.error().message().find("all threads") != std::string::npos);
      REQUIRE(::syscall(SYS_getuid) >= 0);
      end.release();
      other.join();
      return 0;
    }));
  }
}

TEST(ConfineSelf, NoPrivilege) {
  EXPECT_DONE(in_child([] {
    SelfConfinement confinement;
    ::personality(READ_IMPLIES_EXEC);
    REQUIRE(confinement.give_up_privileges().has_value());
    REQUIRE(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    REQUIRE(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    REQUIRE((::personality(0xffffffff) & READ_IMPLIES_EXEC) == 0);
    REQUIRE(::sethostname("x", 1) != 0 && errno == EPERM);
    rlimit core{};
    REQUIRE(::getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
    return 0;
  }));
}

TEST(ConfineSelf, NoFile) {
  if (probe_landlock().error != 0) GTEST_SKIP() << "no Landlock here";
  EXPECT_DONE(in_child([] {
    SelfConfinement confinement;
    REQUIRE(::open("/dev/null", O_RDONLY) >= 0);
    REQUIRE(confinement.give_up_privileges().has_value() && confinement.give_up_files().has_value());
    REQUIRE(::open("/dev/null", O_RDONLY) < 0 && errno == EACCES);
    REQUIRE(::open("/tmp/vitrine-confine-self", O_WRONLY | O_CREAT, 0600) < 0 && errno == EACCES);
    return 0;
  }));
}

TEST(ConfineSelf, AnEmptyRootAndNobodyElse) {
  if (in_child([] { return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? 0 : 1; }) != 0)
    GTEST_SKIP() << "no user namespaces here";
  EXPECT_DONE(in_child([] {
    SelfConfinement confinement;
    REQUIRE(::access("/proc/self", F_OK) == 0);
    confinement.leave_namespaces();
    REQUIRE(confinement.took(Mechanism::UserNamespace));
    REQUIRE(confinement.took(Mechanism::MountNamespace));
    REQUIRE(::access("/proc/self", F_OK) != 0 && errno == ENOENT);
    REQUIRE(::open("/x", O_WRONLY | O_CREAT, 0600) < 0);
    if (confinement.took(Mechanism::PidNamespace)) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(::getpid() == 1 && ::kill(-1, 0) != 0 ? 0 : 1);
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child && status == 0);
    }
    return 0;
  }));
}

TEST(ConfineSelf, MechanismsThatATestTakesAway) {
  EXPECT_DONE(in_child([] {
    SelfConfinement confinement({Mechanism::UserNamespace, Mechanism::MountNamespace, Mechanism::PidNamespace,
                                 Mechanism::NetworkNamespace, Mechanism::IpcNamespace,
                                 Mechanism::UtsNamespace, Mechanism::CgroupNamespace, Mechanism::Landlock});
    confinement.leave_namespaces();
    REQUIRE(confinement.give_up_files().has_value());
    REQUIRE(confinement.measures().empty());
    REQUIRE(::access("/proc/self", F_OK) == 0 && ::open("/dev/null", O_RDONLY) >= 0);
    return 0;
  }));
}

TEST(ConfineSelf, DescriptorsThatAreKept) {
  EXPECT_DONE(in_child([] {
    const int kept = ::dup(STDERR_FILENO), closed = ::dup(STDERR_FILENO);
    const SelfConfinement confinement;
    REQUIRE(::fcntl(closed, F_GETFD) >= 0);
    REQUIRE(confinement.keep_descriptors({kept, STDERR_FILENO}, 0).has_value());
    REQUIRE(::fcntl(closed, F_GETFD) < 0 && ::fcntl(STDIN_FILENO, F_GETFD) < 0);
    REQUIRE(::fcntl(kept, F_GETFD) >= 0 && ::fcntl(STDERR_FILENO, F_GETFD) >= 0);
    REQUIRE(::fcntl(kept, F_DUPFD, kept + 1) < 0);  // above there is nothing to be had
    return 0;
  }));
}

TEST(ConfineSelf, MemoryThatWasWritable) {
  SKIP_WITH_SANITIZER();
  EXPECT_DONE(in_child([] {
    SelfConfinement confinement;
    void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED && ::mprotect(memory, 4096, PROT_READ | PROT_EXEC) == 0);
    confinement.deny_write_execute();
    if (!confinement.measures().back().taken) return kSkipped;
    memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED && ::mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0);
    return 0;
  }));
}

TEST(ConfineSelf, EndsWithItsParent) {
  int alive[2], begun[2];
  ASSERT_EQ(::pipe(alive) + ::pipe(begun), 0);
  EXPECT_DONE(in_child([&] {
    char byte = 0;
    const pid_t child = ::fork();
    if (child == 0) {
      SelfConfinement::end_with_parent();
      (void)!::write(begun[1], "x", 1);
      for (;;) ::pause();
    }
    return ::read(begun[0], &byte, 1) == 1 ? 0 : 1;
  }));
  ::close(alive[1]);
  char byte = 0;
  EXPECT_EQ(::read(alive[0], &byte, 1), 0);  // The last that held the other end is gone.
  for (const int end : {alive[0], begun[0], begun[1]}) ::close(end);
}

}  // namespace
}  // namespace vitrine::sandbox
