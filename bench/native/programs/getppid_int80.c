// The cheapest system call, through the interrupt gate.
#include "runtime.h"

static int get_parent(void) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(kGetParent) : "memory");
  return result;
}

u32 work(u32 count) {
  int parent = get_parent();
  for (u32 i = 0; i < count; ++i) {
    if (get_parent() != parent) give_up("another parent");
  }
  return 1;
}
