#include "cli/host_signals.h"

#include <sys/signalfd.h>

#include <csignal>

namespace vitrine::cli {

namespace {

Result<Descriptor> block(sigset_t set) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) ::sigaddset(&set, signal);
  }
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

void ignore_write_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

void ignore_report_signal() {
  ::signal(SIGUSR1, SIG_IGN);
}

}  // namespace vitrine::cli
