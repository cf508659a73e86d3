// SSE: the product of two matrices of single-precision numbers, four at a time.
#include <xmmintrin.h>

#include "rows.h"

enum { kSize = 128 };

uint32_t matrix_sse(uint32_t times) {
  static float a[kSize][kSize] __attribute__((aligned(16)));
  static float b[kSize][kSize] __attribute__((aligned(16)));
  static float c[kSize][kSize] __attribute__((aligned(16)));
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) {
      a[i][j] = (float)((i * 7 + j) % 13);
      b[i][j] = (float)((i + j * 5) % 11) * 0.125f;
    }
  }
  while (times-- > 0) {
    for (int i = 0; i < kSize; ++i) {
      for (int j = 0; j < kSize; j += 4) {
        __m128 sum = _mm_setzero_ps();
        for (int k = 0; k < kSize; ++k) {
          sum = _mm_add_ps(sum, _mm_mul_ps(_mm_set1_ps(a[i][k]), _mm_load_ps(&b[k][j])));
        }
        _mm_store_ps(&c[i][j], sum);
      }
    }
    a[0][times % kSize] += 1;
  }
  return (uint32_t)(c[3][5] * 8) ^ (uint32_t)(c[kSize - 1][kSize - 2] * 8);
}
