#include "sandbox/patience.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "base/descriptor.h"

namespace vitrine::sandbox {
namespace {

using namespace std::chrono_literals;

struct Pipe {
  Descriptor reader, writer;
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe(ends), 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
};

TEST(Patience, EndsWhenNothingComes) {
  const Pipe pipe;
  Patience patience(2 * Patience::kLook);
  EXPECT_FALSE(patience.wait_for_end_of(pipe.reader.get()));
  EXPECT_EQ(errno, ETIMEDOUT);
  EXPECT_FALSE(patience.wait_for_end_of(pipe.reader.get()));
}

TEST(Patience, SeesTheEndAndNotWhatComesBefore) {
  Pipe pipe;
  ASSERT_EQ(::write(pipe.writer.get(), "x", 1), 1);
  EXPECT_FALSE(Patience(1ms).wait_for_end_of(pipe.reader.get()));
  pipe.writer.reset();
  EXPECT_TRUE(Patience(1ms).wait_for_end_of(pipe.reader.get()));
  char byte = 0;
  EXPECT_EQ(::read(pipe.reader.get(), &byte, 1), 1);
}

TEST(Patience, DoesNotCountWhatItWasStoppedFor) {
  Pipe pipe;
  constexpr auto kPatience = 2s;
  const pid_t waiting = ::fork();
  ASSERT_GE(waiting, 0);
  if (waiting == 0) {
    pipe.writer.reset();
    Patience patience(kPatience);
    ::_exit(patience.wait_for_end_of(pipe.reader.get()) ? 0 : 1);
  }
  int status = 0;
  std::this_thread::sleep_for(Patience::kLook);  // It waits already.
  ::kill(waiting, SIGSTOP);
  ASSERT_EQ(::waitpid(waiting, &status, WUNTRACED), waiting);
  ASSERT_TRUE(WIFSTOPPED(status));
  std::this_thread::sleep_for(kPatience + 200ms);
  ::kill(waiting, SIGCONT);
  // Time enough to give up, for somebody who goes by the clock.
  std::this_thread::sleep_for(Patience::kLook);
  pipe.writer.reset();
  ASSERT_EQ(::waitpid(waiting, &status, 0), waiting);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "gave up, having been stopped";
}

}  // namespace
}  // namespace vitrine::sandbox
