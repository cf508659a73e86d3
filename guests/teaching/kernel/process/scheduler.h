// Who runs next, and sleeping and waking.
#pragma once

#include <stdint.h>

#include "process/process.h"

enum { kStackGuard = 0x57ac6a2d };  // at the low end of every kernel stack

void schedule(void);  // gives the processor away; returns when it is our turn again
void yield(void);
_Noreturn void idle_loop(void);

// Sleeps until somebody calls wake() with the same channel (any address that both know). The caller must
// check its condition again: a killed process is woken, too.
void sleep_on(const void* channel);
void wake(const void* channel);

void make_ready(struct Process* process);
