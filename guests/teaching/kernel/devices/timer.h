// Time: the 8254 (or the local APICs' timers) interrupts kTicksPerSecond times a second.
#pragma once

#include <stdint.h>

extern volatile uint32_t ticks;  // since boot

void timer_init(void);
int timer_sleep(uint32_t duration);  // in ticks; -1 if killed meanwhile

// Waits by watching the 8254's counter; needs no interrupts. At most one tick at a time is exact.
void timer_busy_wait(uint32_t milliseconds);
