// The signals by which the host asks Vitrine to end, or to say what it has counted.
#pragma once

#include "base/descriptor.h"
#include "base/result.h"

namespace vitrine::cli {

/// Blocks SIGINT, SIGTERM and SIGHUP in this thread (and those it starts), and returns a non-blocking
/// signalfd of them. One that is ignored stays so.
[[nodiscard]] Result<Descriptor> take_ending_signals();
/// The same with SIGUSR1, for what reports what it has counted.
[[nodiscard]] Result<Descriptor> take_signals();

/// For the supervisor of a machine process: the same with SIGCHLD, and with the signals that stop a process
/// (SIGTSTP, SIGTTIN, SIGTTOU). To be called before the fork, so that none is lost.
[[nodiscard]] Result<Descriptor> take_supervisor_signals();
/// In the machine process: as take_signals(). Those that stop a process do so again.
[[nodiscard]] Result<Descriptor> take_machine_signals();
/// Does to this process, now, what the blocked signal does to a process that does not block it.
void let_signal_act(int signal);

/// Ignores SIGPIPE and SIGXFSZ: the write that causes them fails instead.
void ignore_write_signals();
/// Until take_signals() a report is asked for in vain.
void ignore_report_signal();

}  // namespace vitrine::cli
