// Copying, filling, comparing and searching memory: byte and word loops, and the processor's string
// instructions.
#include "runtime.h"

enum { kSize = 64 << 10 };
static u8 from[kSize + 16], to[kSize + 16];

static NOINLINE void copy_words(void* target, const void* source, u32 size) {
  __asm__ volatile("rep movsl" : "+D"(target), "+S"(source), "=c"(size) : "c"(size / 4) : "memory");
}
static NOINLINE void fill(void* target, u8 value, u32 size) {
  __asm__ volatile("rep stosb" : "+D"(target), "+c"(size) : "a"(value) : "memory");
}
static NOINLINE u32 length(const char* text) {
  u32 left = ~0u;
  __asm__ volatile("repne scasb" : "+D"(text), "+c"(left) : "a"(0) : "memory");
  return ~left - 1;
}
static NOINLINE void copy_bytes(u8* target, const u8* source, u32 size) {
  for (; size; --size) *target++ = *source++;
}
static NOINLINE u32 find_byte(const u8* text, u8 wanted, u32 size) {
  u32 at = 0;
  while (at < size && text[at] != wanted) ++at;
  return at;
}
static NOINLINE int compare(const u8* a, const u8* b, u32 size) {
  for (; size; --size, ++a, ++b) {
    if (*a != *b) return *a - *b;
  }
  return 0;
}

static u32 one(void) {
  u32 sum = 0, state = 5;
  for (u32 i = 0; i < kSize; ++i) from[i] = (u8)(1 + next_random(&state) % 250);
  from[kSize] = 0;
  for (u32 round = 0; round < 4; ++round) {
    copy_words(to, from, kSize);
    copy_bytes(to + round, from, kSize);
    to[kSize - 1 - round * 7] = 255;
    sum = fold(sum, find_byte(to, 255, kSize));
    sum = fold(sum, (u32)compare(to + round, from, kSize));
    to[kSize] = 0;
    sum = fold(sum, length((const char*)to));
    fill(to + 100 * round, (u8)round, kSize / 2);
    for (u32 i = 0; i < kSize; i += 48) copy_bytes(to + i, from + i / 2, i % 15);  // short ones, as most are
    sum = fold(sum, to[kSize / 3] + to[kSize - 200]);
  }
  return sum;
}

u32 work(u32 count) {
  return repeat(count, one);
}
