// The firmware's tables about the machine (ACPI Specification 6.3, chapter 5.2). Only used to count the
// processors.
#pragma once

#include <stdint.h>

struct AcpiTable {
  char signature[4];
  uint32_t length;  // of the whole table, this header included
  uint8_t revision, checksum;
  char maker[26];
};

// The table with this signature, or NULL. The pointer is good until the next call.
const struct AcpiTable* acpi_find(const char* signature);
