// A directory capability opens beneath itself and nowhere else. What is tried here also succeeds with plain
// openat(2): else the test would show nothing.
#include "capability/directory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "capability/scratch_directory_for_test.h"

namespace vitrine::capability {
namespace {

using enum Right;
constexpr Rights kAll = rights_of(Kind::Directory);

bool has_openat2() {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  const Descriptor root(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
  return root.valid();
}

class DirectoryCapability : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_openat2()) GTEST_SKIP() << "this host has no openat2(2)";
    std::filesystem::create_directories(scratch_.path("inside/deeper"));
    (void)scratch_.file("secret", "secret");
    (void)scratch_.file("inside/file", "contents");
    (void)scratch_.file("inside/deeper/file", "deep");
  }
  Capability inside(Rights rights = kAll) {
    auto opened = open_directory(scratch_.path("inside"), rights);
    EXPECT_TRUE(opened) << opened.error().message();
    return *std::move(opened);
  }
  Result<Capability> read(const std::string& path, Symlinks symlinks = Symlinks::FollowBeneath) {
    return open_beneath(inside(), {.path = path, .rights = Read, .symlinks = symlinks});
  }
  bool plain_openat_reads(const std::string& path) {
    const Capability directory = inside();
    return Descriptor(::openat(directory.descriptor(), path.c_str(), O_RDONLY | O_CLOEXEC)).valid();
  }
  ScratchDirectory scratch_;
};

TEST_F(DirectoryCapability, OpensWhatIsBeneath) {
  EXPECT_TRUE(read("file"));
  EXPECT_TRUE(read("deeper/file"));
  EXPECT_TRUE(read("deeper/../file"));
  const auto deeper =
      open_beneath(inside(), {.path = "deeper", .rights = Lookup | Read, .kind = Kind::Directory});
  ASSERT_TRUE(deeper) << deeper.error().message();
  EXPECT_TRUE(open_beneath(*deeper, {.path = "file", .rights = Read}));
  EXPECT_FALSE(open_beneath(*deeper, {.path = "../file", .rights = Read}));
}

TEST_F(DirectoryCapability, RefusesEveryWayOut) {
  std::filesystem::create_symlink("../secret", scratch_.path("inside/relative"));
  std::filesystem::create_symlink(scratch_.path("secret"), scratch_.path("inside/absolute"));
  std::filesystem::create_symlink("..", scratch_.path("inside/up"));
  const std::string ways[] = {"../secret", "deeper/../../secret", scratch_.path("secret"),     "relative",
                              "absolute",  "up/secret",           "/proc/self/root/etc/passwd"};
  for (const std::string& path : ways) {
    EXPECT_TRUE(plain_openat_reads(path)) << path;
    EXPECT_FALSE(read(path)) << path;
  }
}

TEST_F(DirectoryCapability, FollowsSymbolicLinksBeneathUnlessToldNotTo) {
  std::filesystem::create_symlink("deeper/file", scratch_.path("inside/link"));
  EXPECT_TRUE(read("link"));
  const auto refused = read("link", Symlinks::Refuse);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().errno_value, ELOOP);
}

TEST_F(DirectoryCapability, RefusesMagicLinks) {
  const auto proc = open_directory("/proc/self", kAll);
  if (!proc) GTEST_SKIP() << "this host has no /proc";
  const Descriptor held(::open(scratch_.path("secret").c_str(), O_RDONLY | O_CLOEXEC));
  const std::string path = "fd/" + std::to_string(held.get());
  EXPECT_TRUE(Descriptor(::openat(proc->descriptor(), path.c_str(), O_RDONLY | O_CLOEXEC)).valid());
  EXPECT_FALSE(open_beneath(*proc, {.path = path, .rights = Read}));
}

TEST_F(DirectoryCapability, GivesNoMoreThanItHas) {
  EXPECT_FALSE(open_beneath(inside(Lookup | Read), {.path = "file", .rights = Read | Write}));
  EXPECT_FALSE(open_beneath(inside(Read), {.path = "file", .rights = Read}));
  EXPECT_FALSE(open_beneath(inside(Lookup | Write),
                            {.path = "new", .rights = Write, .creation = Creation::IfMissing}));
  EXPECT_FALSE(list(inside(Lookup | Read)));
  EXPECT_FALSE(make_directory(inside(kAll.without(Create)), "new"));
  EXPECT_FALSE(remove(inside(kAll.without(Remove)), "file"));
  EXPECT_FALSE(
      open_beneath(inside(Lookup), {.path = "deeper", .rights = Lookup | Write, .kind = Kind::Directory}));
  const auto reader = open_beneath(inside(Lookup | Read), {.path = "file", .rights = Read});
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_TRUE(reader->kernel_enforced());
  EXPECT_EQ(::write(reader->descriptor(), "x", 1), -1);
}

TEST_F(DirectoryCapability, MakesListsAndRemoves) {
  const Capability directory = inside();
  ASSERT_TRUE(open_beneath(directory, {.path = "new", .rights = Write, .creation = Creation::Exclusive}));
  EXPECT_FALSE(open_beneath(directory, {.path = "new", .rights = Write, .creation = Creation::Exclusive}));
  ASSERT_TRUE(make_directory(directory, "deeper/made"));
  EXPECT_THAT(*list(directory), ::testing::ElementsAre("deeper", "file", "new"));
  ASSERT_TRUE(remove(directory, "new"));
  ASSERT_TRUE(remove(directory, "deeper/made", Kind::Directory));
  EXPECT_THAT(*list(directory), ::testing::ElementsAre("deeper", "file"));
  for (const char* path : {"../secret", "/secret", "..", ".", "", "deeper/.."}) {
    EXPECT_FALSE(remove(directory, path)) << path;
    EXPECT_FALSE(make_directory(directory, path)) << path;
  }
  EXPECT_TRUE(std::filesystem::exists(scratch_.path("secret")));
}

TEST_F(DirectoryCapability, OpensNoFifoAndNoDevice) {
  ASSERT_EQ(::mkfifo(scratch_.path("inside/fifo").c_str(), 0600), 0);
  EXPECT_FALSE(read("fifo"));
  EXPECT_FALSE(read("deeper"));
}

TEST_F(DirectoryCapability, SaysThatItsBareDescriptorAllowsMore) {
  EXPECT_EQ(inside(Lookup | Read).excess(), kAll.without(Lookup | Read));
}

TEST_F(DirectoryCapability, DoesNotFollowARenameOut) {
  // A directory is moved out and back while paths through it are resolved: "inside/moving/../../secret" would
  // name the secret at the wrong moment.
  // The way back and forth in between gives the renames time.
  std::filesystem::create_directories(scratch_.path("inside/a/moving/x"));
  std::string path = "a/moving/";
  for (int i = 0; i < 500; ++i) path += "x/../";
  path += "../../secret";
  std::filesystem::create_directories(scratch_.path("outside"));
  std::atomic<bool> stop = false;
  std::thread mover([&] {
    while (!stop) {
      (void)::rename(scratch_.path("inside/a/moving").c_str(), scratch_.path("outside/moving").c_str());
      (void)::rename(scratch_.path("outside/moving").c_str(), scratch_.path("inside/a/moving").c_str());
    }
  });
  const Capability directory = inside();
  for (int i = 0; i < 3000; ++i) {
    const auto opened = open_beneath(directory, {.path = path, .rights = Read});
    EXPECT_FALSE(opened);
    if (opened) break;
  }
  stop = true;
  mover.join();
}

}  // namespace
}  // namespace vitrine::capability
