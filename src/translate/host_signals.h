// The process's handlers for the signals that translated code causes, and for the kick. A thread that runs a
// virtual processor enters itself; signals from anything but translated code go to whoever had them before.
#pragma once

#include "base/clock.h"
#include "base/result.h"

namespace vitrine::translate {

class Engine;

/// The signal that kicks a virtual processor's thread.
[[nodiscard]] int kick_signal();

/// Installs the handlers, once in a process, and an alternate stack for the calling thread, once.
[[nodiscard]] Result<void> prepare_host_signals();

/// The engine whose code runs on the calling thread from here on; null: none.
void set_current_engine(Engine* engine);
/// It goes away: no signal of this thread finds it any more.
void forget_engine(const Engine& engine);

/// What one signal of a fault costs here, from the instruction to the handler and back: measured, some
/// hundred times. The calling thread has called prepare_host_signals().
[[nodiscard]] Nanoseconds measure_signal_cost();

}  // namespace vitrine::translate
