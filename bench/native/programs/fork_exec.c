// fork(), the child executes the program named on the command line with its words, wait(). With `nothing`:
// the least that exec can cost; with `busybox true`: a static program of 2 MB.
#include "runtime.h"

u32 work(u32 count) {
  for (u32 i = 0; i < count; ++i) {
    int status = 0, child = checked(CALL0(kFork), "fork");
    if (child == 0) {
      CALL3(kExecve, arguments[0], arguments, environment);
      give_up("exec");
    }
    if (CALL3(kWaitPid, child, &status, 0) != child || status != 0) give_up("wrong status");
  }
  return 1;
}
