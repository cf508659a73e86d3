// The naive Fibonacci function: nothing but calls and returns, each return site well known.
#include "runtime.h"

static NOINLINE u32 fibonacci(u32 n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
static u32 one(void) {
  return fibonacci(24);
}

u32 work(u32 count) {
  return repeat(count, one);
}
