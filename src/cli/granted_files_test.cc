// What the supervisor creates for a machine's monitor, and what it refuses whoever asks. What is refused here
// works with plain open(2): the files are this user's own.
#include "cli/granted_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "capability/scratch_directory_for_test.h"

namespace vitrine::cli {
namespace {

using machine::FileContents;
using testing::HasSubstr;

constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n picture";

class GrantedFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string inside = scratch_.path("inside");
    std::filesystem::create_directories(inside + "/deeper/.hidden");
    std::filesystem::create_directories(scratch_.path("named"));
    old_ = std::filesystem::current_path();
    std::filesystem::current_path(inside);
    // TMPDIR, too, is a place of the test's own.
    ::setenv("TMPDIR", scratch_.path("named").c_str(), 1);
    auto files = GrantedFiles::create({});
    ASSERT_TRUE(files.has_value()) << files.error().message();
    files_.emplace(*std::move(files));
  }
  void TearDown() override {
    ::unsetenv("TMPDIR");
    std::filesystem::current_path(old_);
  }

  std::string create(std::string_view path, FileContents contents = FileContents::Picture) {
    const auto file = files_->create_file(path, contents);
    if (!file) return file.error().message();
    return ::write(file->get(), "new", 3) == 3 ? "created" : "cannot be written";
  }
  std::string contents(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(scratch_.path(name)).rdbuf();
    return text.str();
  }
  void refused(std::string_view path, std::string_view why, FileContents contents = FileContents::Picture) {
    EXPECT_THAT(create(path, contents), AllOf(HasSubstr("does not let"), HasSubstr(std::string(why)),
                                              HasSubstr("--files DIR"), HasSubstr("--sandbox=off")))
        << path;
  }

  capability::ScratchDirectory scratch_;
  std::filesystem::path old_;
  std::optional<GrantedFiles> files_;
};

TEST_F(GrantedFilesTest, BeneathThePresentAndTheTemporaryDirectory) {
  EXPECT_EQ(create("a.png"), "created");
  EXPECT_EQ(create("deeper//./b.png"), "created");
  EXPECT_EQ(create(scratch_.path("inside/c.png")), "created");
  EXPECT_EQ(create(scratch_.path("named/d.bin"), FileContents::Memory), "created");
  EXPECT_EQ(contents("inside/deeper/b.png"), "new");
  EXPECT_EQ(contents("named/d.bin"), "new");
}

TEST_F(GrantedFilesTest, NowhereElse) {
  std::filesystem::create_directories(scratch_.path("inside-too"));
  for (const std::string& path : {scratch_.path("x"), scratch_.path("inside-too/x"), std::string("/x"),
                                  std::string("/etc/vitrine-test")}) {
    refused(path, "it lies elsewhere");
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  refused(scratch_.path("inside"), "it lies elsewhere");
}

TEST_F(GrantedFilesTest, NoWayUpAndNothingHidden) {
  for (const char* path : {"../x", "deeper/../../x", ".profile", "deeper/.hidden/x", "..", ".", "./"}) {
    EXPECT_NE(create(path), "created") << path;
  }
  EXPECT_FALSE(std::filesystem::exists(scratch_.path("x")));
  EXPECT_FALSE(std::filesystem::exists(scratch_.path("inside/.profile")));
}

TEST_F(GrantedFilesTest, NoSymbolicLink) {
  std::filesystem::create_directory_symlink(scratch_.path(), scratch_.path("inside/link"));
  std::filesystem::create_symlink(scratch_.path("target"), scratch_.path("inside/dangling"));
  EXPECT_NE(create("link/x"), "created");
  EXPECT_NE(create("dangling"), "created");
  EXPECT_FALSE(std::filesystem::exists(scratch_.path("x")));
  EXPECT_FALSE(std::filesystem::exists(scratch_.path("target")));
}

TEST_F(GrantedFilesTest, APictureReplacesAPictureOnly) {
  (void)scratch_.file("inside/old.png", std::string(kPng));
  (void)scratch_.file("inside/old.ppm", "P6\n1 1 255\nabc");
  (void)scratch_.file("inside/letter", "dear reader");
  EXPECT_EQ(create("old.png"), "created");
  EXPECT_EQ(contents("inside/old.png"), "new");
  EXPECT_EQ(create("old.ppm"), "created");
  refused("letter", "no picture");
  EXPECT_EQ(contents("inside/letter"), "dear reader");
}

TEST_F(GrantedFilesTest, MemoryReplacesOnlyWhatThisMachineMade) {
  (void)scratch_.file("inside/old.png", std::string(kPng));
  refused("old.png", "not of this machine", FileContents::Memory);
  EXPECT_EQ(contents("inside/old.png"), kPng);
  EXPECT_EQ(create("new", FileContents::Memory), "created");
  EXPECT_EQ(create("new", FileContents::Memory), "created");
}

TEST_F(GrantedFilesTest, NoFileThatHasAnotherNameElsewhere) {
  const std::string elsewhere = scratch_.file("picture", std::string(kPng));
  std::filesystem::create_hard_link(elsewhere, scratch_.path("inside/old.png"));
  refused("old.png", "");
  EXPECT_EQ(contents("picture"), kPng);
}

TEST_F(GrantedFilesTest, NoDevicePipeOrDirectory) {
  ASSERT_EQ(::mkfifo(scratch_.path("inside/pipe").c_str(), 0600), 0);
  refused("pipe", "not a regular file");
  refused("deeper", "");
  EXPECT_THAT(create("no/folder.png"), HasSubstr("No such file"));
}

TEST_F(GrantedFilesTest, DirectoriesThatTheUserNames) {
  const std::string more = scratch_.path("more");
  refused(more + "/x", "it lies elsewhere");
  std::filesystem::create_directories(more);
  const std::vector<std::string> names = {more + "/"};
  auto files = GrantedFiles::create(names);
  ASSERT_TRUE(files.has_value());
  files_.emplace(*std::move(files));
  EXPECT_EQ(create(more + "/x"), "created");
  const std::vector<std::string> wrong = {scratch_.path("nowhere")};
  EXPECT_FALSE(GrantedFiles::create(wrong).has_value());
}

}  // namespace
}  // namespace vitrine::cli
