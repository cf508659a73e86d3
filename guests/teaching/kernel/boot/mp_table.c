#include "boot/mp_table.h"

#include <stddef.h>

#include "common/strings.h"
#include "memory/address_space.h"

enum { kBiosDataEbda = 0x40e, kBiosDataBaseMemory = 0x413, kProcessorSize = 20 };

struct FloatingPointer {
  char signature[4];
  uint32_t table;
  uint8_t length, revision, checksum;  // the length in units of 16 bytes
  uint8_t default_configuration, features[4];
};

static bool sums_to_zero(const void* bytes, uint32_t size) {
  uint8_t sum = 0;
  for (const uint8_t* cursor = bytes; size > 0; --size) sum += *cursor++;
  return sum == 0;
}

static const struct FloatingPointer* search(uint32_t start, uint32_t size) {
  for (uint32_t address = start; address < start + size; address += 16) {
    const struct FloatingPointer* pointer = kernel_pointer(address);
    if (memcmp(pointer->signature, "_MP_", 4) == 0 && pointer->length == 1 && sums_to_zero(pointer, sizeof *pointer))
      return pointer;
  }
  return NULL;
}

// The places that the specification names, in its order.
static const struct FloatingPointer* find_pointer(void) {
  uint32_t ebda = *(const uint16_t*)kernel_pointer(kBiosDataEbda) << 4;
  uint32_t base_memory = *(const uint16_t*)kernel_pointer(kBiosDataBaseMemory) << 10;
  const struct FloatingPointer* pointer = ebda >= 0x80000 && ebda < 0xa0000 ? search(ebda, 1024) : NULL;
  if (!pointer && base_memory > 0x80000 && base_memory <= 0xa0000) pointer = search(base_memory - 1024, 1024);
  return pointer ? pointer : search(0xf0000, 0x10000);
}

const struct MpTable* mp_table_find(void) {
  const struct FloatingPointer* pointer = find_pointer();
  if (!pointer || pointer->table == 0) return NULL;
  const struct MpTable* table = kernel_window(pointer->table);
  bool good = memcmp(table->signature, "PCMP", 4) == 0 && sums_to_zero(table, table->length);
  return good ? table : NULL;
}

const struct MpProcessor* mp_table_processor(const struct MpTable* table, int number) {
  const uint8_t* entry = (const uint8_t*)(table + 1);
  const uint8_t* end = (const uint8_t*)table + table->length;
  // Entries are sorted by type, processors first.
  for (; number > 0 && entry < end && *entry == 0; --number) entry += kProcessorSize;
  return entry + kProcessorSize <= end && *entry == 0 ? (const void*)entry : NULL;
}
