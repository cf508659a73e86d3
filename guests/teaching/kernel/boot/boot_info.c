// Reads the multiboot information (Multiboot Specification 0.6.96, "Boot information format").
#include "boot/boot_info.h"

#include "common/strings.h"
#include "devices/print.h"
#include "memory/address_space.h"

enum {
  kMultibootMagic = 0x2BADB002,
  kHasMemory = 1 << 0,
  kHasCommandLine = 1 << 2,
  kHasModules = 1 << 3,
  kHasMemoryMap = 1 << 6,
  kUsable = 1
};

struct MultibootInfo {
  uint32_t flags;
  uint32_t memory_lower, memory_upper;  // KiB
  uint32_t boot_device;
  uint32_t command_line;
  uint32_t module_count, modules;
  uint32_t symbols[4];
  uint32_t map_length, map;
};

struct MapEntry {
  uint32_t size;  // of what follows
  uint64_t start, length;
  uint32_t type;
} __attribute__((packed));

struct BootInfo boot_info;

static void add_region(uint64_t start, uint64_t length) {
  if (boot_info.region_count == kMaxRegions || start >= kMappedMemory) return;
  uint64_t end = start + length;
  if (end > kMappedMemory) end = kMappedMemory;
  boot_info.regions[boot_info.region_count++] = (struct MemoryRegion){(uint32_t)start, (uint32_t)end};
}

static void read_map(const struct MultibootInfo* info) {
  if (!(info->flags & kHasMemoryMap)) {
    if (info->flags & kHasMemory) add_region(0x100000, (uint64_t)info->memory_upper * 1024);
    return;
  }
  const char* cursor = kernel_pointer(info->map);
  const char* end = cursor + info->map_length;
  while (cursor < end) {
    const struct MapEntry* entry = (const struct MapEntry*)cursor;
    if (entry->type == kUsable) add_region(entry->start, entry->length);
    cursor += entry->size + sizeof entry->size;
  }
}

void boot_info_read(uint32_t magic, uint32_t physical_address) {
  if (magic != kMultibootMagic) panic("not loaded by a multiboot loader (%x)", magic);
  const struct MultibootInfo* info = kernel_pointer(physical_address);
  read_map(info);
  if (info->flags & kHasCommandLine) {
    copy_string(boot_info.options, kernel_pointer(info->command_line), sizeof boot_info.options);
  }
  if ((info->flags & kHasModules) && info->module_count > 0) {
    boot_info.module = *(const struct MemoryRegion*)kernel_pointer(info->modules);
  }
}

bool boot_option(const char* name, char* value, uint32_t size) {
  uint32_t length = strlen(name);
  for (const char* word = boot_info.options; *word;) {
    const char* end = word;
    while (*end && *end != ' ') ++end;
    if (strncmp(word, name, length) == 0 && (word + length == end || word[length] == '=')) {
      const char* from = word + length + (word[length] == '=');
      uint32_t wanted = (uint32_t)(end - from) + 1;
      if (size > 0) copy_string(value, from, wanted < size ? wanted : size);
      return true;
    }
    word = *end ? end + 1 : end;
  }
  return false;
}
