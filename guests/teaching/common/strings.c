// Bytes and strings, in the simplest way that is not slow: copying and filling use the processor's
// string instructions.
#include "common/strings.h"

#include <stdint.h>

void* memset(void* to, int byte, size_t size) {
  void* cursor = to;
  size_t words = size / 4;
  size &= 3;
  uint32_t word = (uint8_t)byte * 0x01010101u;
  __asm__ volatile("rep stosl" : "+D"(cursor), "+c"(words) : "a"(word) : "memory");
  __asm__ volatile("rep stosb" : "+D"(cursor), "+c"(size) : "a"(word) : "memory");
  return to;
}

void* memcpy(void* restrict to, const void* restrict from, size_t size) {
  void* cursor = to;
  size_t words = size / 4;
  size &= 3;
  __asm__ volatile("rep movsl" : "+D"(cursor), "+S"(from), "+c"(words) : : "memory");
  __asm__ volatile("rep movsb" : "+D"(cursor), "+S"(from), "+c"(size) : : "memory");
  return to;
}

void* memmove(void* to, const void* from, size_t size) {
  if ((size_t)to - (size_t)from >= size) return memcpy(to, from, size);
  // The end of `from` lies under `to`: copy backwards.
  void* cursor = (char*)to + size - 1;
  from = (const char*)from + size - 1;
  __asm__ volatile("std; rep movsb; cld" : "+D"(cursor), "+S"(from), "+c"(size) : : "memory", "cc");
  return to;
}

int memcmp(const void* left, const void* right, size_t size) {
  const unsigned char* a = left;
  const unsigned char* b = right;
  for (; size > 0; --size, ++a, ++b) {
    if (*a != *b) return *a - *b;
  }
  return 0;
}

size_t strlen(const char* text) {
  size_t length = 0;
  while (text[length]) ++length;
  return length;
}

int strcmp(const char* left, const char* right) {
  return strncmp(left, right, (size_t)-1);
}

int strncmp(const char* left, const char* right, size_t size) {
  for (; size > 0; --size, ++left, ++right) {
    if (*left != *right) return (unsigned char)*left - (unsigned char)*right;
    if (*left == 0) return 0;
  }
  return 0;
}

const char* strchr(const char* text, char wanted) {
  for (; *text; ++text) {
    if (*text == wanted) return text;
  }
  return NULL;
}

void copy_string(char* to, const char* from, size_t size) {
  while (size-- > 1 && *from) *to++ = *from++;
  *to = 0;
}
