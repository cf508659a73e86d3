#include "sandbox/mount_steps.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "sandbox/user_namespace.h"

namespace vitrine::sandbox {
namespace {

constexpr int kAbsent = 77;

/// In a mount namespace of its own; what `check` says is the exit status.
int in_mount_namespace(const std::function<int()>& check) {
  const unsigned user = ::geteuid(), group = ::getegid();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool made = user == 0 ? ::unshare(CLONE_NEWNS) == 0
                                : ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
                                      write_id_maps(::getpid(), user, user, group, group);
    ::_exit(made ? check() : kAbsent);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool is_there(const char* path) {
  struct stat status {};
  return ::stat(path, &status) == 0;
}

TEST(MountSteps, TheOldRootCanBeReachedUntilItIsSeenToHaveLeft) {
  const int status = in_mount_namespace([] {
    if (enter_new_root({}, -1, 0).error != 0) return 1;
    if (is_there("/etc") || !is_there("/../etc")) return 2;
    if (is_old_root_left()) return 3;
    if (leave_old_root().error != 0) return 4;
    if (is_there("/../etc")) return 5;
    return is_old_root_left() ? 0 : 6;
  });
  if (status == kAbsent) GTEST_SKIP() << "this host gives no mount namespace";
  EXPECT_EQ(status, 0);
}

TEST(MountSteps, DirectoriesAreMadeWhereSomethingIsToBe) {
  const int status = in_mount_namespace([] {
    const std::vector<MountStep> steps = {
        {MountStep::Kind::Directory, "deep/er/still"},
        {MountStep::Kind::Directory, "deep/er"},
        {MountStep::Kind::Link, "other/place/link", "/deep"},
        {MountStep::Kind::Link, "other/place/link", "/somewhere/else"},
    };
    if (enter_new_root(steps, -1, 0).error != 0) return 1;
    if (leave_old_root().error != 0) return 2;
    if (!is_there("/deep/er/still") || !is_there("/other/place/link/er")) return 3;
    // Nothing more can be made: it is read-only.
    return ::mkdir("/more", 0755) != 0 ? 0 : 4;
  });
  if (status == kAbsent) GTEST_SKIP() << "this host gives no mount namespace";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace vitrine::sandbox
