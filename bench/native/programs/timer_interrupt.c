// Sleeps until a timer's signal comes, 500 times a second: idle, interrupt, wake-up, signal, idle. Only
// processor time says something about this row.
#include "signals.h"

u32 work(u32 count) {
  enum { kAlarm = 14 };
  u32 interval[4] = {0, 2000, 0, 2000};  // seconds and microseconds: period, first
  catch_signal(kAlarm);
  checked(CALL3(kSetTimer, 0, interval, 0), "setitimer");
  while (signals_seen < count) CALL0(kPause);
  interval[1] = interval[3] = 0;
  CALL3(kSetTimer, 0, interval, 0);
  return 1;
}
