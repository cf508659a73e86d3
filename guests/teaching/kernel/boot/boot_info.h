// What the boot loader told us, copied to a safe place before any page is handed out.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { kMaxRegions = 16, kMaxOptions = 256 };

struct MemoryRegion {
  uint32_t start;  // physical, inclusive
  uint32_t end;    // physical, exclusive
};

struct BootInfo {
  struct MemoryRegion regions[kMaxRegions];  // of usable memory
  int region_count;
  struct MemoryRegion module;  // a file-system image in memory; empty if there is none
  char options[kMaxOptions];   // the kernel's command line
};

extern struct BootInfo boot_info;

void boot_info_read(uint32_t magic, uint32_t physical_address);

// The value of `name=value`, copied to `value`; or, for a plain word, an empty value. False if absent.
bool boot_option(const char* name, char* value, uint32_t size);
