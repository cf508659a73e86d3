// Touches fresh pages: each is a page fault in which the kernel finds, clears and maps a page. `count` is the
// number of pages; 1024 at a time are mapped, touched, unmapped.
#include "runtime.h"

u32 work(u32 count) {
  enum { kPages = 1024, kPage = 4096 };
  for (u32 done = 0; done < count; done += kPages) {
    volatile u8* memory = fresh_memory(kPages * kPage);
    for (u32 page = 0; page < kPages; ++page) {
      if (memory[page * kPage + 8] != 0) give_up("not cleared");  // the first access reads: the page of zeros
      memory[page * kPage] = 1;                                   // the second writes
    }
    checked(CALL2(kMunmap, memory, kPages * kPage), "munmap");
  }
  return 1;
}
