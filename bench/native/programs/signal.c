// A process sends itself a signal and handles it: kill(), the handler's frame, sigreturn().
#include "signals.h"

u32 work(u32 count) {
  enum { kUser1 = 10 };
  catch_signal(kUser1);
  int self = CALL0(kGetPid);
  for (u32 i = 0; i < count; ++i) {
    CALL2(kKill, self, kUser1);
    if (signals_seen != i + 1) give_up("no signal");
  }
  return 1;
}
