// The cheapest system call, entered as a C library does (SYSENTER where there is one).
#include "runtime.h"

u32 work(u32 count) {
  int parent = CALL0(kGetParent);
  for (u32 i = 0; i < count; ++i) {
    if (CALL0(kGetParent) != parent) give_up("another parent");
  }
  return 1;
}
