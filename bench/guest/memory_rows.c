// Memory: string instructions, copies too short for them, loops over bytes, and one access for each page.
#include "rows.h"

enum { kLarge = 64 * 1024, kPage = 4096, kStridePages = 4096 };

static uint8_t from[kLarge], to[kLarge];

uint32_t copy_with_rep(uint32_t times) {
  for (uint32_t i = 0; i < times; ++i) {
    void *d = to, *s = from;
    uint32_t count = kLarge / 4;
    __asm__ volatile("rep stosl" : "+D"(d), "+c"(count) : "a"(i) : "memory");
    d = from, s = to, count = kLarge / 4;
    __asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
  }
  return from[5] + to[kLarge - 1];
}

// Structures of a few bytes, as kernels copy them with REP MOVSL.
uint32_t short_copies(uint32_t times) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < times; ++i) {
    void *d = to + (i & 0xfff), *s = from + (i * 7 & 0xfff);
    uint32_t count = 8;
    __asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
    sum += to[i & 0xfff];
  }
  return sum;
}

static uint32_t length(const char* text) __attribute__((noinline, noipa));
static uint32_t length(const char* text) {
  const char* end = text;
  while (*end != '\0') ++end;
  return (uint32_t)(end - text);
}

static int compare(const char* a, const char* b) __attribute__((noinline, noipa));
static int compare(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return (uint8_t)*a - (uint8_t)*b;
}

static void copy(char* d, const char* s) __attribute__((noinline, noipa));
static void copy(char* d, const char* s) {
  while ((*d++ = *s++) != '\0') {
  }
}

uint32_t string_loops(uint32_t times) {
  static char a[2048], b[2048];
  for (unsigned i = 0; i < sizeof a - 1; ++i) a[i] = (char)('a' + i % 26);
  uint32_t sum = 0;
  for (uint32_t i = 0; i < times; ++i) {
    a[i % 2000] ^= 1;
    copy(b, a);
    sum += length(b) + (uint32_t)compare(a, b);
  }
  return sum;
}

// 16 MiB, one word in each page: more pages than a look-aside buffer holds.
uint32_t page_stride(uint32_t times) {
  volatile uint32_t* const memory = (volatile uint32_t*)0x1000000;
  uint32_t sum = 0;
  for (uint32_t page = 0; page < kStridePages; ++page) memory[page * kPage / 4] = page;
  while (times-- > 0) {
    for (uint32_t page = 0; page < kStridePages; ++page) sum += memory[page * kPage / 4]++;
  }
  return sum;
}
