// The Mandelbrot set in double, 48 x 48 points, at most 200 steps each: comparisons of floating-point
// numbers. Built twice: for the x87 and for SSE2.
#include "runtime.h"

enum { kSide = 48, kMost = 200 };

static NOINLINE u32 one(void) {
  u32 sum = 0;
  for (int row = 0; row < kSide; ++row) {
    for (int column = 0; column < kSide; ++column) {
      double cx = column * (3.0 / kSide) - 2.0, cy = row * (2.0 / kSide) - 1.0, x = 0, y = 0;
      int steps = 0;
      while (steps < kMost && x * x + y * y < 4.0) {
        double next = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = next;
        ++steps;
      }
      sum += (u32)(steps * (row ^ column));
    }
  }
  return sum;
}

u32 work(u32 count) {
  return repeat(count, one);
}
