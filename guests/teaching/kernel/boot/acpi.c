#include "boot/acpi.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/strings.h"
#include "memory/address_space.h"

enum { kBiosDataEbda = 0x40e, kRootPointerSize = 20, kMaxTables = 64 };

struct RootPointer {
  char signature[8];
  uint8_t checksum;
  char maker[6];
  uint8_t revision;
  uint32_t table;
};

static bool sums_to_zero(const void* bytes, uint32_t size) {
  uint8_t sum = 0;
  for (const uint8_t* cursor = bytes; size > 0; --size) sum += *cursor++;
  return sum == 0;
}

static const struct RootPointer* search(uint32_t start, uint32_t size) {
  for (uint32_t address = start; address < start + size; address += 16) {
    const struct RootPointer* pointer = kernel_pointer(address);
    if (memcmp(pointer->signature, "RSD PTR ", 8) == 0 && sums_to_zero(pointer, kRootPointerSize))
      return pointer;
  }
  return NULL;
}

// Tables may lie anywhere: at the end of memory, as a rule.
static const struct AcpiTable* table_at(uint32_t physical) {
  const struct AcpiTable* table = kernel_window(physical);
  return table->length < kWindowSize && sums_to_zero(table, table->length) ? table : NULL;
}

const struct AcpiTable* acpi_find(const char* signature) {
  uint32_t ebda = *(const uint16_t*)kernel_pointer(kBiosDataEbda) << 4;
  const struct RootPointer* pointer = ebda >= 0x80000 && ebda < 0xa0000 ? search(ebda, 1024) : NULL;
  if (!pointer) pointer = search(0xe0000, 0x20000);
  const struct AcpiTable* root = pointer ? table_at(pointer->table) : NULL;
  if (!root) return NULL;

  uint32_t addresses[kMaxTables];
  uint32_t count = (root->length - sizeof *root) / 4;
  if (count > kMaxTables) count = kMaxTables;
  memcpy(addresses, root + 1, count * 4);
  for (uint32_t i = 0; i < count; ++i) {
    const struct AcpiTable* table = table_at(addresses[i]);
    if (table && memcmp(table->signature, signature, 4) == 0) return table;
  }
  return NULL;
}
