#include "machine/event_loop.h"

#include <gtest/gtest.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <thread>

namespace vitrine::machine {
namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::pipe(fds.data()), 0);
    read_end.reset(fds[0]);
    write_end.reset(fds[1]);
  }
  void put(std::string_view text) const {
    EXPECT_EQ(::write(write_end.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  Descriptor read_end, write_end;
};

class EventLoopTest : public testing::Test {
 protected:
  std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
};

TEST_F(EventLoopTest, RunsOnlyWhatIsReadyAndWanted) {
  Pipe pipe;
  unsigned calls = 0;
  EventLoop::Watch watch = loop_->watch(pipe.read_end.get(), kReadable, [&](uint8_t readiness) {
    EXPECT_EQ(readiness, kReadable);
    ++calls;
  });
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
  pipe.put("x");
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 1u);
  EXPECT_EQ(calls, 1u);
  watch.set_interest(0);
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
  watch.set_interest(kReadable);
  EXPECT_EQ(loop_->wait(std::nullopt), 1u);
  watch.remove();
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
}

TEST_F(EventLoopTest, HangUpIsReportedOnlyWhileThereIsInterest) {
  Pipe pipe;
  uint8_t seen = 0;
  EventLoop::Watch watch = loop_->watch(pipe.read_end.get(), 0, [&](uint8_t readiness) { seen = readiness; });
  pipe.write_end.reset();
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
  watch.set_interest(kReadable);
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 1u);
  EXPECT_EQ(seen, kHungUp);
}

TEST_F(EventLoopTest, AHandlerMayRemoveItselfAndOthers) {
  Pipe first, second;
  EventLoop::Watch a, b;
  unsigned calls = 0;
  a = loop_->watch(first.read_end.get(), kReadable, [&](uint8_t) {
    ++calls;
    a.remove();
    b.remove();
  });
  b = loop_->watch(second.read_end.get(), kReadable, [&](uint8_t) { ++calls; });
  first.put("x");
  second.put("x");
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 1u);
  EXPECT_EQ(calls, 1u);
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
}

TEST_F(EventLoopTest, WakeEndsAWaitThatWouldLastForEver) {
  std::thread other([this] { loop_->wake(); });
  EXPECT_EQ(loop_->wait(std::nullopt), 0u);
  other.join();
  // The wake-up is used up.
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
}

// Otherwise it would wait for ever: for what it knew when it went there.
TEST_F(EventLoopTest, WithALockAWaitNoticesWhatOtherThreadsWatchMeanwhile) {
  FairLock lock;
  loop_->set_lock(&lock);
  Pipe pipe;
  pipe.put("x");
  unsigned calls = 0;
  lock.lock();
  EventLoop::Watch watch = loop_->watch(pipe.read_end.get(), 0, [&](uint8_t) { ++calls; });
  std::thread other([&] {
    for (bool done = false; !done;) {
      lock.lock();
      done = loop_->waiting();
      if (done) watch.set_interest(kReadable);
      lock.unlock();
    }
  });
  while (calls == 0) (void)loop_->wait(std::nullopt);
  lock.unlock();
  other.join();
  EXPECT_EQ(calls, 1u);
}

TEST_F(EventLoopTest, SignalsComeOneByOne) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
  std::vector<int> seen;
  loop_->watch_signals(Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)),
                       [&](int s) { seen.push_back(s); });
  ASSERT_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
  ASSERT_EQ(pthread_kill(pthread_self(), SIGUSR2), 0);
  EXPECT_GT(loop_->wait(std::nullopt), 0u);
  EXPECT_EQ(seen, (std::vector<int>{SIGUSR1, SIGUSR2}));
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &old, nullptr), 0);
}

}  // namespace
}  // namespace vitrine::machine
