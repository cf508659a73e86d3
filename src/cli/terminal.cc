#include "cli/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include "base/check.h"

namespace vitrine::cli {
namespace {

struct TerminalState {
  int fd = -1;
  termios original{};
  termios raw{};
};

// A signal handler has no argument of its own: what it must restore has to be found without one. Null while
// no terminal is raw.
std::atomic<const TerminalState*> active_terminal{nullptr};
static_assert(std::atomic<const TerminalState*>::is_always_lock_free, "read in signal handlers");

/// Signals that end a process which does not handle them. SIGINT, SIGTERM and SIGHUP come in order through a
/// signalfd while a machine runs, and through here before and after.
constexpr std::array kDeadlySignals = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT, SIGABRT,
                                       SIGSEGV, SIGBUS,  SIGILL, SIGFPE};

/// In the background the terminal is another's, and a process that changes its mode is stopped. A terminal
/// that is not the controlling one has no foreground.
bool may_change_mode(int fd) {
  const pid_t foreground = ::tcgetpgrp(fd);
  return foreground < 0 || foreground == ::getpgrp();
}

void restore_terminal() {
  if (const TerminalState* state = active_terminal.load()) ::tcsetattr(state->fd, TCSANOW, &state->original);
}

void on_deadly_signal(int signal) {
  restore_terminal();
  // The handler was reset on entry (SA_RESETHAND): this ends the process as the signal would have.
  ::raise(signal);
}

void on_stop_signal(int /*signal*/) {
  const int saved = errno;
  restore_terminal();
  ::raise(SIGSTOP);
  errno = saved;
}

void on_continue_signal(int /*signal*/) {
  const int saved = errno;
  const TerminalState* state = active_terminal.load();
  // The shell sends SIGCONT again with `fg`.
  if (state != nullptr && may_change_mode(state->fd)) ::tcsetattr(state->fd, TCSANOW, &state->raw);
  errno = saved;
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction old {};
  ::sigaction(signal, nullptr, &old);
  if (old.sa_handler == SIG_IGN) return;  // as nohup and background jobs want it
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}

/// Back to the default, unless somebody else has taken the signal meanwhile, or it was ignored all the time.
void stop_handling(int signal, void (*handler)(int)) {
  struct sigaction current {};
  ::sigaction(signal, nullptr, &current);
  if (current.sa_handler == handler) ::signal(signal, SIG_DFL);
}

termios raw_mode(const termios& original, TerminalSignals signals) {
  termios raw = original;
  // Bytes as they are typed: no translation of returns, no flow control, no eighth bit cut off.
  raw.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  // Line feeds still return the carriage, for messages that others write to the terminal meanwhile.
  raw.c_oflag |= OPOST;
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | IEXTEN);
  if (signals == TerminalSignals::PassToGuest) raw.c_lflag &= ~static_cast<tcflag_t>(ISIG);
  raw.c_cflag = (raw.c_cflag & ~static_cast<tcflag_t>(CSIZE | PARENB)) | CS8;
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  return raw;
}

}  // namespace

Result<std::unique_ptr<RawTerminal>> RawTerminal::enter(int fd, TerminalSignals signals) {
  CHECK(active_terminal.load() == nullptr, "one raw terminal at a time");
  if (::isatty(fd) == 0) return nullptr;
  auto state = std::make_unique<TerminalState>();
  state->fd = fd;
  if (::tcgetattr(fd, &state->original) != 0) {
    return std::unexpected(error_from_errno("cannot read the terminal's mode", ""));
  }
  state->raw = raw_mode(state->original, signals);
  active_terminal = state.release();
  for (const int signal : kDeadlySignals) handle(signal, on_deadly_signal, static_cast<int>(SA_RESETHAND));
  handle(SIGTSTP, on_stop_signal, SA_RESTART);
  handle(SIGCONT, on_continue_signal, SA_RESTART);
  std::unique_ptr<RawTerminal> terminal(new RawTerminal);
  // In the background, the mode is changed when the process comes to the front.
  if (may_change_mode(fd) && ::tcsetattr(fd, TCSANOW, &active_terminal.load()->raw) != 0) {
    return std::unexpected(error_from_errno("cannot change the terminal's mode", ""));
  }
  return terminal;
}

RawTerminal::~RawTerminal() {
  const std::unique_ptr<const TerminalState> state(active_terminal.load());
  if (may_change_mode(state->fd)) ::tcsetattr(state->fd, TCSADRAIN, &state->original);
  active_terminal = nullptr;
  for (const int signal : kDeadlySignals) stop_handling(signal, on_deadly_signal);
  stop_handling(SIGTSTP, on_stop_signal);
  stop_handling(SIGCONT, on_continue_signal);
}

}  // namespace vitrine::cli
