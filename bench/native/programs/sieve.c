// The sieve of Eratosthenes over bytes: simple loops with stores at growing strides.
#include "runtime.h"

enum { kLimit = 400000 };
static u8 composite[kLimit];

static NOINLINE u32 one(void) {
  u32 sum = 0, primes = 0;
  for (u32 i = 0; i < kLimit; ++i) composite[i] = 0;
  for (u32 i = 2; i < kLimit; ++i) {
    if (composite[i]) continue;
    ++primes;
    sum = fold(sum, i);
    for (u32 j = i * 2; j < kLimit; j += i) composite[j] = 1;
  }
  return sum ^ primes;
}

u32 work(u32 count) {
  return repeat(count, one);
}
