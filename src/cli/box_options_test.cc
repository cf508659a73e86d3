// The options of `vitrine box`, on the command line and in profiles.
#include "cli/box_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace vitrine::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

BoxOptions parsed(const std::vector<std::string_view>& words) {
  auto options = parse_box_options(words);
  EXPECT_TRUE(options) << options.error().message();
  return options ? std::move(*options) : BoxOptions{};
}

std::string refusal(const std::vector<std::string_view>& words) {
  const auto options = parse_box_options(words);
  EXPECT_FALSE(options);
  return options ? "" : options.error().message();
}

class Profile {
 public:
  explicit Profile(std::string_view text) {
    const int file = ::mkstemp(path_);
    EXPECT_EQ(::write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(file);
  }
  ~Profile() { ::unlink(path_); }
  [[nodiscard]] const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/box-profile-XXXXXX";
};

TEST(BoxOptions, AreReadUpToTheProgram) {
  const BoxOptions options =
      parsed({"--ro", "/a", "--ro=/b", "--time", "1.5", "--memory", "64M", "--", "prog", "--rw", "x"});
  EXPECT_THAT(options.readable, ElementsAre("/a", "/b"));
  EXPECT_TRUE(options.writable.empty());
  EXPECT_EQ(options.limits.processor_time, 1500ms);
  EXPECT_EQ(options.limits.memory, uint64_t{64} << 20);
  EXPECT_THAT(options.program, ElementsAre("prog", "--rw", "x"));
  EXPECT_THAT(parsed({"prog", "-x"}).program, ElementsAre("prog", "-x"));
}

TEST(BoxOptions, NameFilesForDescriptors) {
  const BoxOptions options = parsed({"--fd", "5=a=b:c:r", "--stdout", "out", "p"});
  ASSERT_EQ(options.descriptors.size(), 2U);
  EXPECT_EQ(options.descriptors[0].number, 5);
  EXPECT_EQ(options.descriptors[0].path, "a=b:c");
  EXPECT_THAT(refusal({"--fd", "5=x", "p"}), HasSubstr("N=FILE:RIGHTS"));
  EXPECT_THAT(refusal({"--fd", "5=x:z", "p"}), HasSubstr("rights"));
  EXPECT_THAT(refusal({"--fd", "1=x:w", "--stdout", "y", "p"}), HasSubstr("two files"));
}

TEST(BoxOptions, RefuseWhatTheyDoNotKnow) {
  EXPECT_THAT(refusal({"--memroy", "1M", "p"}), HasSubstr("did you mean --memory"));
  EXPECT_THAT(refusal({"--exec=yes", "p"}), HasSubstr("takes no argument"));
  EXPECT_THAT(refusal({"--time"}), HasSubstr("needs an argument"));
  EXPECT_THAT(refusal({"--exec"}), HasSubstr("no program"));
  for (const char* size : {"", "x", "0", "12Q", "1MM", "-1", "99999999999999999999", "9999999999T"}) {
    EXPECT_THAT(refusal({"--memory", size, "p"}), HasSubstr("not a size")) << size;
  }
  for (const char* time : {"", "x", "0", "-1", "1h", "nan", "inf", "1e300"}) {
    EXPECT_THAT(refusal({"--wall", time, "p"}), HasSubstr("not a time")) << time;
  }
  EXPECT_THAT(refusal({"--net", "internet", "p"}), HasSubstr("none or loopback"));
  EXPECT_THAT(refusal({"--disable", "gravity", "p"}), HasSubstr("landlock"));
  EXPECT_THAT(refusal({"--lack", "hope", "p"}), HasSubstr("'hope'"));
}

TEST(BoxOptions, ComeFromAProfile) {
  const Profile profile(
      "ro = [\"/a\", \"/b\"]\nexec = true\nstrict = false\nmemory = \"2G\"\nprocesses = 8\ntime = 0.5\n");
  const BoxOptions options = parsed({"--profile", profile.path(), "--processes", "9", "p"});
  EXPECT_THAT(options.readable, ElementsAre("/a", "/b"));
  EXPECT_TRUE(options.exec);
  EXPECT_FALSE(options.strict);
  EXPECT_EQ(options.limits.memory, uint64_t{2} << 30);
  EXPECT_EQ(options.limits.processes, 9U);
  EXPECT_EQ(options.limits.processor_time, 500ms);
}

TEST(BoxOptions, SayWhatIsWrongWithAProfileAndWhere) {
  for (const auto& [text, message] :
       {std::pair{"ro = \"/a\"\nmemroy = \"1M\"\n", ":2'"}, std::pair{"memory = \"lots\"\n", "not a size"},
        std::pair{"exec = 2020-01-01\n", "no word"}, std::pair{"ro = [[1]]\n", "no word"},
        std::pair{"= x\n", "in the profile"}, std::pair{"profile = \"x\"\n", "no other profile"}}) {
    const Profile profile(text);
    EXPECT_THAT(refusal({"--profile", profile.path(), "p"}), HasSubstr(message)) << text;
  }
  EXPECT_THAT(refusal({"--profile", "/no/such/profile", "p"}), HasSubstr("/no/such/profile"));
}

}  // namespace
}  // namespace vitrine::cli
