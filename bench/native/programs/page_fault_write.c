// As page_fault, but the first access to each page is a write: one fault for each page. `count` is the number
// of pages.
#include "runtime.h"

u32 work(u32 count) {
  enum { kPages = 1024, kPage = 4096 };
  for (u32 done = 0; done < count; done += kPages) {
    volatile u8* memory = fresh_memory(kPages * kPage);
    for (u32 page = 0; page < kPages; ++page) memory[page * kPage] = 1;
    checked(CALL2(kMunmap, memory, kPages * kPage), "munmap");
  }
  return 1;
}
