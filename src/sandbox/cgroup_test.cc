// What is written to control groups of version 2, and read from them, against a directory that stands for the
// kernel's: mkdir and rmdir below it are this file's, and do what the kernel does, make and remove the files
// of a group. A host with version 2 delegated runs the real ones in child_test.cc and tests/box.
#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace {

namespace fs = std::filesystem;

std::string fake_root;                          ///< Empty: no directory stands for anything.
std::map<std::string, std::string> fake_files;  ///< Of a new group.
std::vector<std::string> removed_groups;

bool is_fake(const char* path) {
  return !fake_root.empty() && std::string_view(path).starts_with(fake_root + "/");
}

}  // namespace

// NOLINTBEGIN: they take the C library's place in this program.
extern "C" int mkdir(const char* path, mode_t mode) noexcept {
  if (::syscall(SYS_mkdir, path, mode) != 0) return -1;
  if (!is_fake(path)) return 0;
  for (const auto& [name, contents] : fake_files) std::ofstream(fs::path(path) / name) << contents;
  return 0;
}

extern "C" int rmdir(const char* path) noexcept {
  if (is_fake(path)) {
    removed_groups.emplace_back(path);
    for (const auto& [name, contents] : fake_files) ::unlink((fs::path(path) / name).c_str());
  }
  return static_cast<int>(::syscall(SYS_rmdir, path));
}
// NOLINTEND

namespace vitrine::sandbox {
namespace {

class CgroupFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/vitrine-cgroup-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    for (const char* directory : {"unified", "memory", "pids"}) fs::create_directory(root_ / directory);
    write("unified/cgroup.controllers", "cpu memory pids\n");
    write("unified/cgroup.subtree_control", "memory pids\n");
    places_ = {root_ / "unified", {}, root_ / "memory", root_ / "pids"};
    fake_root = name;
    fake_files = {{"cgroup.procs", ""},          {"cgroup.kill", ""},
                  {"memory.max", "max\n"},       {"memory.swap.max", ""},
                  {"memory.peak", "4711\n"},     {"memory.events", "oom 3\noom_kill 2\n"},
                  {"pids.max", "max\n"},         {"pids.events", "max 5\n"},
                  {"memory.limit_in_bytes", ""}, {"cpu.stat", "usage_usec 12\nuser_usec 7\n"}};
    removed_groups.clear();
  }
  void TearDown() override {
    fake_root.clear();
    fs::remove_all(root_);
  }

  void write(const std::string& name, const std::string& contents) {
    std::ofstream(root_ / name) << contents;
  }
  [[nodiscard]] std::string read(const fs::path& path) const {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// The groups that there are in a hierarchy.
  [[nodiscard]] std::vector<fs::path> groups(const char* hierarchy) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(root_ / hierarchy)) {
      if (entry.is_directory()) found.push_back(entry.path());
    }
    return found;
  }

  fs::path root_;
  CgroupPlaces places_;
};

TEST_F(CgroupFiles, OneGroupOfVersion2HoldsEveryLimit) {
  {
    const auto cgroup = Cgroup::create({uint64_t{64} << 20, 9, true}, places_);
    ASSERT_TRUE(cgroup) << cgroup.error().message();
    ASSERT_EQ(groups("unified").size(), 1U);
    EXPECT_TRUE(groups("memory").empty());
    EXPECT_TRUE(groups("pids").empty());
    const fs::path group = groups("unified")[0];
    EXPECT_EQ(read(group / "memory.max"), "67108864");
    EXPECT_EQ(read(group / "memory.swap.max"), "0");
    EXPECT_EQ(read(group / "pids.max").substr(0, 1), "9");
    // What a process writes to the entrance comes to the group.
    ASSERT_EQ(cgroup->entrances().size(), 1U);
    ASSERT_EQ(::write(cgroup->entrances()[0], "0", 1), 1);
    EXPECT_EQ(read(group / "cgroup.procs"), "0");
    EXPECT_TRUE(cgroup->kill());
    EXPECT_EQ(read(group / "cgroup.kill"), "1");
    EXPECT_EQ(cgroup->peak_memory(), 4711U);
    EXPECT_EQ(cgroup->memory_kills(), 2U);
    EXPECT_EQ(cgroup->refused_processes(), 5U);
    EXPECT_EQ(cgroup->processor_nanoseconds(), 12'000U);
  }
  EXPECT_TRUE(groups("unified").empty());
  EXPECT_EQ(removed_groups.size(), 1U);
}

TEST_F(CgroupFiles, AControllerThatCouldBePassedOnIs) {
  write("unified/cgroup.subtree_control", "");
  const auto cgroup = Cgroup::create({uint64_t{1} << 20, std::nullopt, false}, places_);
  ASSERT_TRUE(cgroup) << cgroup.error().message();
  EXPECT_EQ(read(root_ / "unified/cgroup.subtree_control"), "+memory");
  EXPECT_EQ(groups("unified").size(), 1U);
}

TEST_F(CgroupFiles, AGroupWithProcessesInItIsNotDividedButTheOneAroundIt) {
  // cgroups(7), "no internal processes": our own group has us in it. pids could be passed on all the same,
  // and then what is below could not be entered.
  fs::create_directory(root_ / "unified/ours");
  write("unified/ours/cgroup.type", "domain\n");
  write("unified/ours/cgroup.controllers", "memory pids\n");
  write("unified/ours/cgroup.subtree_control", "");
  places_.unified = root_ / "unified/ours";
  places_.unified_parent = root_ / "unified";
  const auto cgroup = Cgroup::create({uint64_t{1} << 20, 3, false}, places_);
  ASSERT_TRUE(cgroup) << cgroup.error().message();
  EXPECT_EQ(groups("unified").size(), 2U);
  EXPECT_TRUE(groups("unified/ours").empty());
  EXPECT_EQ(read(root_ / "unified/ours/cgroup.subtree_control"), "");
}

TEST_F(CgroupFiles, WhatVersion2LacksVersion1Gives) {
  write("unified/cgroup.controllers", "pids\n");
  write("unified/cgroup.subtree_control", "pids\n");
  const auto cgroup = Cgroup::create({uint64_t{1} << 20, 3, false}, places_);
  ASSERT_TRUE(cgroup) << cgroup.error().message();
  ASSERT_EQ(groups("memory").size(), 1U);
  EXPECT_EQ(read(groups("memory")[0] / "memory.limit_in_bytes"), "1048576");
  ASSERT_EQ(groups("unified").size(), 1U);
  EXPECT_TRUE(groups("pids").empty());
  EXPECT_EQ(cgroup->entrances().size(), 2U);
}

TEST_F(CgroupFiles, NothingIsLeftWhereALimitCannotBeSet) {
  fake_files.erase("pids.max");
  const auto cgroup = Cgroup::create({uint64_t{1} << 20, 3, false}, places_);
  ASSERT_FALSE(cgroup);
  EXPECT_NE(cgroup.error().message().find("pids.max"), std::string::npos) << cgroup.error().message();
  EXPECT_TRUE(groups("unified").empty());
}

TEST_F(CgroupFiles, WhatCannotBeHadIsSaid) {
  const CgroupPlaces nowhere;
  for (const auto& [limits, says] :
       {std::pair{CgroupLimits{4096, {}, false}, "no memory controller"},
        std::pair{CgroupLimits{{}, 2, false}, "no pids controller"},
        std::pair{CgroupLimits{{}, {}, true}, "no control group of version 2"}}) {
    const auto cgroup = Cgroup::create(limits, nowhere);
    ASSERT_FALSE(cgroup);
    EXPECT_NE(cgroup.error().message().find(says), std::string::npos) << cgroup.error().message();
  }
}

TEST_F(CgroupFiles, WhatAKilledProcessLeftIsCleanedUp) {
  // A number that no process has: the largest is 2^22 (proc_sys_kernel(5), pid_max).
  const fs::path abandoned = root_ / "unified/vitrine-4194999-0";
  const fs::path others = root_ / "unified/somebody";
  ASSERT_EQ(::mkdir(abandoned.c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(others.c_str(), 0755), 0);
  const auto cgroup = Cgroup::create({{}, 2, false}, places_);
  ASSERT_TRUE(cgroup) << cgroup.error().message();
  EXPECT_FALSE(fs::exists(abandoned));
  EXPECT_TRUE(fs::exists(others));
}

}  // namespace
}  // namespace vitrine::sandbox
