// A hash table with open addressing: insert, look up, delete; keys are short strings, hashed byte by byte.
#include "runtime.h"

enum { kSlots = 1 << 14, kKeys = 8000, kKeyLength = 12 };
typedef struct {
  char key[kKeyLength];
  u32 hash, value, used;
} Slot;
static Slot table[kSlots];

static void make_key(u32 number, char* key) {
  for (int i = 0; i < kKeyLength - 1; ++i, number = number * 1103515245u + 12345u)
    key[i] = (char)('a' + (number >> 16) % 26);
  key[kKeyLength - 1] = 0;
}

static u32 hash_of(const char* key) {
  u32 hash = 2166136261u;
  for (; *key; ++key) hash = (hash ^ (u8)*key) * 16777619u;
  return hash;
}

static int same(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

static NOINLINE Slot* find(const char* key) {
  u32 hash = hash_of(key), at = hash % kSlots;
  while (table[at].used && !(table[at].hash == hash && same(table[at].key, key))) at = (at + 1) % kSlots;
  table[at].hash = hash;
  return &table[at];
}

static u32 one(void) {
  char key[kKeyLength];
  u32 sum = 0;
  for (u32 i = 0; i < kSlots; ++i) table[i].used = 0;
  for (u32 i = 0; i < kKeys; ++i) {
    make_key(i, key);
    Slot* slot = find(key);
    slot->used = 1;
    slot->value = i;
    for (int c = 0; c < kKeyLength; ++c) slot->key[c] = key[c];
  }
  for (u32 i = 0; i < kKeys * 2; ++i) {  // half of them are not there
    make_key(i, key);
    Slot* slot = find(key);
    sum = fold(sum, slot->used ? slot->value : i);
  }
  return sum;
}

u32 work(u32 count) {
  return repeat(count, one);
}
