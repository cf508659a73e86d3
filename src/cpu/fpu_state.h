// Where the guest's x87, MMX and SSE state is while the interpreter runs.
#pragma once

#include "cpu/core.h"

namespace vitrine::cpu {

/// At the begin of Vcpu::run(): the state may go to the host's registers from here on; it does when an
/// instruction needs it.
void fpu_enter(Core& core);
/// At its end, and before a call into a device or anything else that may use the x87 unit or look at the
/// state: core.state.fpu is complete, the host's unit is Vitrine's own again. Cheap when nothing is resident.
/// The next x87 or MMX instruction brings the state back.
void fpu_leave(Core& core);

/// IGNNE#, as a write to port F0h asserts it: pending x87 exceptions are ignored until they are cleared
/// (FERR# goes away). Only with CR0.NE clear has it a meaning. May be called by devices while run() is on the
/// stack.
void set_ignne(Core& core);

}  // namespace vitrine::cpu
