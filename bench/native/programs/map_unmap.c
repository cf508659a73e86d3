// Maps 16 KiB of fresh memory, writes to the first page, unmaps it.
#include "runtime.h"

u32 work(u32 count) {
  for (u32 i = 0; i < count; ++i) {
    volatile u8* memory = fresh_memory(4 * 4096);
    memory[i & 4095] = 1;
    checked(CALL2(kMunmap, memory, 4 * 4096), "munmap");
  }
  return 1;
}
