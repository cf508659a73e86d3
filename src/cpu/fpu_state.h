// Where the guest's x87, MMX and SSE state is while the interpreter runs.
#pragma once

#include "cpu/core.h"

namespace vitrine::cpu {

/// At the begin of Vcpu::run(): the state may go to the host's registers from here on.
void fpu_enter(Core& core);
/// At its end, and before anybody else looks: core.state.fpu is complete; the host's registers and modes are
/// Vitrine's own again. May be called in pairs with fpu_enter() in the middle of run(), around a call into a
/// device.
void fpu_leave(Core& core);

/// IGNNE#, as a write to port F0h asserts it: pending x87 exceptions are ignored until they are cleared (FERR# goes
/// away). Only with CR0.NE clear has it a meaning. May be called by devices while run() is on the stack.
void set_ignne(Core& core);

}  // namespace vitrine::cpu
