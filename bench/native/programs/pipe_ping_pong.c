// Two processes send one byte to and fro through two pipes: a round trip is four system calls and two
// switches.
#include "runtime.h"

u32 work(u32 count) {
  int there[2], back[2], status = 0;
  u8 byte = 0;
  checked(CALL1(kPipe, there), "pipe");
  checked(CALL1(kPipe, back), "pipe");
  int child = checked(CALL0(kFork), "fork");
  if (child == 0) {
    for (u32 i = 0; i < count; ++i) {
      if (CALL3(kRead, there[0], &byte, 1) != 1) give_up("read");
      ++byte;
      CALL3(kWrite, back[1], &byte, 1);
    }
    CALL1(kExit, 0);
  }
  for (u32 i = 0; i < count; ++i) {
    u8 sent = (u8)i;
    CALL3(kWrite, there[1], &sent, 1);
    if (CALL3(kRead, back[0], &byte, 1) != 1 || byte != (u8)(i + 1)) give_up("wrong byte");
  }
  CALL3(kWaitPid, child, &status, 0);
  return 1;
}
