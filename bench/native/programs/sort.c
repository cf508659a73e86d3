// Quicksort of records with a comparison by callback, as qsort() of the C library: indirect calls,
// unpredictable branches.
#include "runtime.h"

enum { kRecords = 12000, kSmall = 8 };
typedef struct {
  u32 key, payload;
} Record;
static Record records[kRecords];

static NOINLINE int compare_keys(const void* a, const void* b) {
  u32 x = ((const Record*)a)->key, y = ((const Record*)b)->key;
  return x < y ? -1 : x > y;
}

static void exchange(u8* a, u8* b, u32 size) {
  for (; size; --size, ++a, ++b) {
    u8 kept = *a;
    *a = *b;
    *b = kept;
  }
}

static void insertion_sort(u8* base, u32 count, u32 size, int (*compare)(const void*, const void*)) {
  for (u32 i = 1; i < count; ++i) {
    for (u32 j = i; j > 0 && compare(base + (j - 1) * size, base + j * size) > 0; --j) {
      exchange(base + (j - 1) * size, base + j * size, size);
    }
  }
}

static NOINLINE void sort(u8* base, u32 count, u32 size, int (*compare)(const void*, const void*)) {
  while (count > kSmall) {
    exchange(base, base + count / 2 * size, size);  // the middle one is the pivot
    u32 last = 0;
    for (u32 i = 1; i < count; ++i) {
      if (compare(base + i * size, base) < 0 && ++last != i)
        exchange(base + last * size, base + i * size, size);
    }
    exchange(base, base + last * size, size);
    sort(base, last, size, compare);
    base += (last + 1) * size;
    count -= last + 1;
  }
  insertion_sort(base, count, size, compare);
}

static u32 one(void) {
  u32 state = 20, sum = 0;
  for (u32 i = 0; i < kRecords; ++i) records[i] = (Record){next_random(&state), i};
  sort((u8*)records, kRecords, sizeof(Record), compare_keys);
  for (u32 i = 0; i < kRecords; ++i) sum = fold(sum, records[i].key ^ records[i].payload);
  return sum;
}

u32 work(u32 count) {
  return repeat(count, one);
}
