// Ackermann's function: recursion some thousand calls deep, more than any return stack in hardware holds.
#include "runtime.h"

static NOINLINE u32 ackermann(u32 m, u32 n) {
  if (m == 0) return n + 1;
  u32 inner = n == 0 ? 1 : ackermann(m, n - 1);
  return ackermann(m - 1, inner) + (m == 9);  // the sum keeps the compiler from making a loop of it
}
static u32 one(void) {
  return ackermann(3, 6);
}

u32 work(u32 count) {
  return repeat(count, one);
}
