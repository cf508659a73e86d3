// The terminal must be itself again however a process ends. Each test forks: the child owns a
// pseudo-terminal, makes it raw and ends in one way; the parent looks at what is left.
#include "cli/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "base/descriptor.h"

namespace vitrine::cli {
namespace {

bool is_raw(int fd) {
  termios mode{};
  EXPECT_EQ(::tcgetattr(fd, &mode), 0);
  return (mode.c_lflag & (ICANON | ECHO)) == 0;
}

bool makes_signals(int fd) {
  termios mode{};
  EXPECT_EQ(::tcgetattr(fd, &mode), 0);
  return (mode.c_lflag & ISIG) != 0;
}

class TerminalTest : public testing::Test {
 protected:
  void SetUp() override {
    int master = -1, slave = -1;
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    master_.reset(master);
    slave_.reset(slave);
    std::array<int, 2> fds{};
    ASSERT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
    ready_.reset(fds[0]);
    tell_.reset(fds[1]);
  }

  /// The child leads a session of which the terminal is the controlling one, enters raw mode, says so and
  /// calls `body`.
  template <typename Body>
  pid_t start(TerminalSignals signals, Body body) {
    const pid_t pid = ::fork();
    if (pid != 0) {
      char byte = 0;
      EXPECT_EQ(::read(ready_.get(), &byte, 1), 1);
      return pid;
    }
    if (::login_tty(slave_.get()) != 0) ::_exit(90);
    (void)slave_.release();  // closed by login_tty
    // Whoever runs the tests may ignore some signals.
    for (const int signal : {SIGINT, SIGTERM, SIGTSTP, SIGCONT}) ::signal(signal, SIG_DFL);
    auto terminal = RawTerminal::enter(STDIN_FILENO, signals);
    if (!terminal || *terminal == nullptr) ::_exit(91);
    say_ready();
    body();
    terminal->reset();
    ::_exit(0);
  }
  void say_ready() const { (void)!::write(tell_.get(), "r", 1); }

  Descriptor master_, slave_, ready_, tell_;
};

TEST_F(TerminalTest, IsRawMeanwhileAndItselfAfterwards) {
  const pid_t pid = start(TerminalSignals::PassToGuest, [] { ::pause(); });
  EXPECT_TRUE(is_raw(slave_.get()));
  EXPECT_FALSE(makes_signals(slave_.get()));
  ::kill(pid, SIGTERM);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
  EXPECT_FALSE(is_raw(slave_.get()));
}

TEST_F(TerminalTest, AnOrderlyEndRestoresIt) {
  const pid_t pid = start(TerminalSignals::Keep, [] {});
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(is_raw(slave_.get()));
}

TEST_F(TerminalTest, KeptSignalsAreMadeByTheTerminal) {
  const pid_t pid = start(TerminalSignals::Keep, [] { ::pause(); });
  EXPECT_TRUE(makes_signals(slave_.get()));
  EXPECT_EQ(::write(master_.get(), "\x03", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WTERMSIG(status), SIGINT);
  EXPECT_FALSE(is_raw(slave_.get()));
}

TEST_F(TerminalTest, ACrashRestoresIt) {
  for (const int signal : {SIGABRT, SIGSEGV}) {
    const pid_t pid = start(TerminalSignals::PassToGuest, [signal] { ::raise(signal); });
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_FALSE(is_raw(slave_.get()));
  }
}

TEST_F(TerminalTest, AStoppedProcessGivesItBackAndTakesItAgain) {
  // Blocked until the child waits for it: one that came before would leave it waiting for ever.
  sigset_t stop{}, before{};
  ::sigaddset(&stop, SIGTSTP);
  ASSERT_EQ(::sigprocmask(SIG_BLOCK, &stop, &before), 0);
  const pid_t pid = start(TerminalSignals::PassToGuest, [this, &before] {
    ::sigsuspend(&before);  // returns when it has been stopped and SIGCONT handled
    say_ready();
    ::pause();
  });
  ASSERT_EQ(::sigprocmask(SIG_SETMASK, &before, nullptr), 0);
  // The child leads an orphaned process group, where SIGTSTP stops nobody by default; the handler stops it
  // outright.
  ::kill(pid, SIGTSTP);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, WUNTRACED), pid);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_FALSE(is_raw(slave_.get()));
  ::kill(pid, SIGCONT);
  char byte = 0;
  ASSERT_EQ(::read(ready_.get(), &byte, 1), 1);
  EXPECT_TRUE(is_raw(slave_.get()));
  ::kill(pid, SIGTERM);
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_FALSE(is_raw(slave_.get()));
}

TEST(RawTerminal, NothingToDoWithoutATerminal) {
  const Descriptor file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(RawTerminal::enter(file.get(), TerminalSignals::Keep).value(), nullptr);
}

}  // namespace
}  // namespace vitrine::cli
