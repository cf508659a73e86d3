// Integer arithmetic with all its flags: 32-bit and 64-bit addition, multiplication, division, shifts,
// rotations, bit scans.
#include "runtime.h"

static NOINLINE u32 one(void) {
  u32 a = 0x12345678, b = 0x9ABCDEF1, sum = 0;
  u64 wide = 0x0123456789ABCDEFull;
  for (u32 i = 1; i < 60000; ++i) {
    a = a * 1664525u + 1013904223u;
    b ^= a >> 7 | a << 25;
    wide = wide * 6364136223846793005ull + b;
    wide += (u64)a << (b & 31);
    sum += a % (b >> 20 | 1) + (u32)(wide >> 33) / i;
    if ((int)(a ^ b) < 0) sum ^= (u32)__builtin_ctz(b | 0x80000000u);
    if (a > b) sum -= i;
    sum = sum << 3 | sum >> 29;
  }
  return sum ^ (u32)wide;
}

u32 work(u32 count) {
  return repeat(count, one);
}
