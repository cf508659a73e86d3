// The product of two matrices of 64 x 64, in the type `Number`. Small whole numbers, so that every unit
// computes the same.
#pragma once

#include "runtime.h"

enum { kSide = 64 };
static Number left[kSide][kSide], right[kSide][kSide], product[kSide][kSide];

static void make_matrices(void) {
  u32 state = 17;
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      left[i][j] = (Number)((int)(next_random(&state) >> 28) - 8);
      right[i][j] = (Number)((int)(next_random(&state) >> 28) - 8) / 2;
    }
  }
}

static NOINLINE u32 one(void) {
  u32 sum = 0;
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      Number total = 0;
      for (int k = 0; k < kSide; ++k) total += left[i][k] * right[k][j];
      product[i][j] = total;
    }
  }
  for (int i = 0; i < kSide; ++i) sum = fold(sum, (u32)(int)(product[i][kSide - 1 - i] * 2));
  return sum;
}

u32 work(u32 count) {
  make_matrices();
  return repeat(count, one);
}
