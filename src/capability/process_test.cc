#include "capability/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>

#include "capability/scratch_directory_for_test.h"

namespace vitrine::capability {
namespace {

using enum Right;

struct Pipe {
  Pipe() {
    int ends[2];
    CHECK(::pipe2(ends, O_CLOEXEC) == 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
  Descriptor reader;
  Descriptor writer;
};

std::string read_all(const Descriptor& file) {
  std::string text;
  char buffer[512];
  for (ssize_t count = 0; (count = ::read(file.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(count));
  return text;
}

/// Runs a shell script with a pipe at descriptor 7 (and nothing else) and returns what it wrote there.
std::string shell(const std::string& script, std::vector<Inherited> inherits = {}) {
  Pipe pipe;
  auto end = Capability::adopt(Kind::File, std::move(pipe.writer), Write);
  EXPECT_TRUE(end);
  inherits.push_back({7, &*end, Excess::Accepted});
  const auto process =
      spawn({.program = "/bin/sh", .arguments = {"-c", script}, .environment = {}, .inherits = inherits});
  EXPECT_TRUE(process) << process.error().message();
  (void)std::move(*end).release();
  const std::string text = read_all(pipe.reader);
  const auto ended = wait(*process);
  EXPECT_TRUE(ended && ended->status == 0 && ended->signal == 0);
  return text;
}

TEST(Process, HasTheDeclaredDescriptorsAndNoOther) {
  const Descriptor stray(::fcntl(STDERR_FILENO, F_DUPFD, 50));  // without O_CLOEXEC: would be inherited
  ASSERT_TRUE(stray);
  // The glob is expanded with one more descriptor open, the directory's own: readlink finds that one gone.
  EXPECT_EQ(shell("for f in /proc/self/fd/*; do [ -e $f ] && echo ${f##*/} >&7; done"), "0\n1\n2\n7\n");
}

TEST(Process, FindsDescriptorsAtTheirNumbersWhateverTheyWereBefore) {
  ScratchDirectory scratch;
  Descriptor a(::open(scratch.file("a", "a").c_str(), O_RDONLY | O_CLOEXEC));
  Descriptor b(::open(scratch.file("b", "b").c_str(), O_RDONLY | O_CLOEXEC));
  const int number_a = a.get();
  const int number_b = b.get();
  const auto first = Capability::adopt(Kind::File, std::move(a), Read);
  const auto second = Capability::adopt(Kind::File, std::move(b), Read);
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(number_a < 10 && number_b < 10) << "the shell has redirections of one digit";
  const std::string script =
      "cat <&" + std::to_string(number_b) + " >&7; cat <&" + std::to_string(number_a) + " >&7";
  EXPECT_EQ(shell(script, {{number_b, &*first}, {number_a, &*second}}), "ab");
}

TEST(Process, InheritsNothingThatAllowsMoreThanItsRights) {
  const auto directory =
      Capability::adopt(Kind::Directory, Descriptor(::open("/", O_PATH | O_CLOEXEC)), Lookup);
  ASSERT_TRUE(directory);
  const auto refused =
      spawn({.program = "/bin/true", .arguments = {}, .environment = {}, .inherits = {{5, &*directory}}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("handle"), std::string::npos);
  EXPECT_TRUE(spawn({"/bin/true", {}, {}, {{5, &*directory, Excess::Accepted}}}));
}

TEST(Process, HasAnEmptyEnvironmentUnlessGivenOne) {
  EXPECT_EQ(shell("echo ${HOME-none} >&7"), "none\n");
}

TEST(Process, SaysWhyItCouldNotBeExecuted) {
  const auto missing = spawn({"/nowhere/to/be/found", {}, {}, {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().errno_value, ENOENT);
  const auto far = Capability::adopt(Kind::File, Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)), Read);
  ASSERT_TRUE(far);
  EXPECT_FALSE(spawn({"/bin/true", {}, {}, {{-1, &*far}}}));
  EXPECT_FALSE(spawn({"/bin/true", {}, {}, {{5, &*far}, {5, &*far}}}));
}

TEST(Process, IsSignalledWaitedForAndInspected) {
  const auto process = spawn({"/bin/sh", {"-c", "while :; do sleep 1000; done"}, {}, {}});
  ASSERT_TRUE(process) << process.error().message();
  EXPECT_EQ(process->rights(), Signal | Wait | Inspect);
  auto state = inspect(*process);
  ASSERT_TRUE(state) << state.error().message();
  EXPECT_TRUE(state->running);
  EXPECT_GT(state->number, 0);

  const auto waiter = process->narrowed(Wait);
  ASSERT_TRUE(waiter);
  EXPECT_FALSE(waiter->kernel_enforced());
  EXPECT_FALSE(send_signal(*waiter, SIGKILL));
  EXPECT_FALSE(inspect(*waiter));
  ASSERT_TRUE(send_signal(*process, SIGKILL));
  const auto ended = wait(*waiter);
  ASSERT_TRUE(ended) << ended.error().message();
  EXPECT_EQ(ended->signal, SIGKILL);
  EXPECT_FALSE(send_signal(*process, SIGKILL));
  EXPECT_FALSE(wait(*process));
  state = inspect(*process);
  ASSERT_TRUE(state);
  EXPECT_FALSE(state->running);
}

TEST(Process, GivesItsExitStatus) {
  const auto process = spawn({"/bin/sh", {"-c", "exit 42"}, {}, {}});
  ASSERT_TRUE(process);
  const auto ended = wait(*process);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->status, 42);
}

TEST(Process, StartsFromManyThreadsAtOnce) {
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&failures] {
      for (int j = 0; j < 10; ++j) {
        const auto process = spawn({"/bin/sh", {"-c", "exit 3"}, {}, {}});
        const auto ended = process ? wait(*process) : Result<ProcessEnd>();
        if (!process || !ended || ended->status != 3) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace vitrine::capability
