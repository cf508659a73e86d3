// The way into a machine: build it from what was opened, run it to its end.
#pragma once

#include <functional>

#include "base/result.h"
#include "machine/file_service.h"
#include "machine/machine_config.h"

namespace vitrine::machine {

/// Called once, from the machine's thread, before the guest's first instruction, when all that the machine
/// will ever open, map executable or start as a thread is there: the moment to give up the right to. An Error
/// ends the machine.
using Ready = std::function<Result<void>()>;

/// Runs until the guest powers off, resets under `no_reboot`, writes the debug exit port, or the user quits.
/// Returns the status for the process: 0, or (value << 1) | 1 from the debug exit port. An Error is a machine
/// that could not be built or could not go on.
[[nodiscard]] Result<int> run_machine(MachineConfig config, FileService& files, const Ready& ready = {});

}  // namespace vitrine::machine
