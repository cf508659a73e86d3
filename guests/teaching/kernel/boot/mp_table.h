// The older tables about the machine (MultiProcessor Specification 1.4, chapter 4), for firmware without
// ACPI.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct MpTable {
  char signature[4];
  uint16_t length;  // header and entries, without the extension
  uint8_t revision, checksum;
  char maker[20];
  uint32_t oem_table;
  uint16_t oem_size, entry_count;
  uint32_t local_apic;
  uint16_t extension_length;
  uint8_t extension_checksum, reserved;
};

enum { kMpProcessorEnabled = 1 };

struct MpProcessor {
  uint8_t type, apic_id, apic_version, flags;
};

// The table, or NULL. The pointer is good until the next call, or that of acpi_find().
const struct MpTable* mp_table_find(void);
// The processors from 0 on; NULL behind the last.
const struct MpProcessor* mp_table_processor(const struct MpTable* table, int number);
