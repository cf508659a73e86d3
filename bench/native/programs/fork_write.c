// fork() of a process with 64 dirty pages; the child writes to 32 of them (copy on write) and exits.
#include "runtime.h"

u32 work(u32 count) {
  enum { kPages = 64, kPage = 4096 };
  volatile u8* memory = fresh_memory(kPages * kPage);
  for (u32 page = 0; page < kPages; ++page) memory[page * kPage] = (u8)page;
  for (u32 i = 0; i < count; ++i) {
    int status = 0, child = checked(CALL0(kFork), "fork");
    if (child == 0) {
      for (u32 page = 0; page < kPages; page += 2) ++memory[page * kPage];
      CALL1(kExit, memory[2 * kPage]);
    }
    if (CALL3(kWaitPid, child, &status, 0) != child || status != 3 << 8 || memory[2 * kPage] != 2)
      give_up("wrong value");
  }
  return 1;
}
