// The signals by which the host asks Vitrine to end.
#pragma once

#include "base/descriptor.h"
#include "base/result.h"

namespace vitrine::cli {

/// Blocks SIGINT, SIGTERM and SIGHUP in this thread (and those it starts), and returns a non-blocking
/// signalfd of them. One that is ignored stays so.
[[nodiscard]] Result<Descriptor> take_ending_signals();

/// Ignores SIGPIPE and SIGXFSZ: the write that causes them fails instead.
void ignore_write_signals();

}  // namespace vitrine::cli
