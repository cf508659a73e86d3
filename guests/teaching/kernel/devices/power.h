// The end.
#pragma once

_Noreturn void power_off(void);
_Noreturn void power_stop(void);  // after a panic: the messages stay on the screen
