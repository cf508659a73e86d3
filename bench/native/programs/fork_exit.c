// fork(), the child exits at once, wait().
#include "runtime.h"

u32 work(u32 count) {
  for (u32 i = 0; i < count; ++i) {
    int status = 0, child = checked(CALL0(kFork), "fork");
    if (child == 0) CALL1(kExit, i & 127);
    if (CALL3(kWaitPid, child, &status, 0) != child || status != (int)(i & 127) << 8) give_up("wrong status");
  }
  return 1;
}
