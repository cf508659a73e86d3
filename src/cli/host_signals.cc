#include "cli/host_signals.h"

#include <sys/signalfd.h>

#include <array>
#include <csignal>
#include <span>

namespace vitrine::cli {

namespace {

constexpr std::array kEnding = {SIGINT, SIGTERM, SIGHUP};
constexpr std::array kStopping = {SIGTSTP, SIGTTIN, SIGTTOU};

void add_unless_ignored(sigset_t& set, std::span<const int> signals) {
  for (const int signal : signals) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) ::sigaddset(&set, signal);
  }
}

Result<Descriptor> block(sigset_t set) {
  add_unless_ignored(set, kEnding);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return std::unexpected(Error{"cannot block signals", "", error});
  }
  Descriptor signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return std::unexpected(error_from_errno("cannot create a signalfd", ""));
  return signals;
}

}  // namespace

Result<Descriptor> take_ending_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  return block(none);
}

Result<Descriptor> take_signals() {
  sigset_t report;
  ::sigemptyset(&report);
  ::sigaddset(&report, SIGUSR1);  // Ignored until here; a blocked signal is kept nevertheless.
  return block(report);
}

Result<Descriptor> take_supervisor_signals() {
  ::signal(SIGCHLD, SIG_DFL);  // Ignored, children would vanish without a status.
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR1);
  ::sigaddset(&set, SIGCHLD);
  add_unless_ignored(set, kStopping);
  return block(set);
}

Result<Descriptor> take_machine_signals() {
  sigset_t supervisors;
  ::sigemptyset(&supervisors);
  ::sigaddset(&supervisors, SIGCHLD);
  add_unless_ignored(supervisors, kStopping);
  ::pthread_sigmask(SIG_UNBLOCK, &supervisors, nullptr);
  return take_signals();
}

void let_signal_act(int signal) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void ignore_write_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

void ignore_report_signal() {
  ::signal(SIGUSR1, SIG_IGN);
}

}  // namespace vitrine::cli
