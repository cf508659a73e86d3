// Pages that have been used before are kept in a list that runs through the pages themselves. Pages that
// have never been used are not touched until they are needed: `untouched` walks through the regions.
#include "memory/page_allocator.h"

#include "boot/boot_info.h"
#include "common/strings.h"
#include "devices/print.h"
#include "memory/address_space.h"

struct FreePage {
  struct FreePage* next;
};

unsigned pages_free;

extern char kernel_end[];
static uint16_t users[kMappedMemory / kPageSize];
static struct FreePage* free_list;
static int region;          // of boot_info.regions that `untouched` lies in
static uint32_t untouched;  // physical address

static uint32_t round_up(uint32_t address) {
  return (address + kPageSize - 1) & ~(kPageSize - 1);
}

// Memory below the kernel's end belongs to the BIOS, to the loader and to us.
static bool is_reserved(uint32_t page) {
  if (page < physical_of(kernel_end)) return true;
  return page + kPageSize > boot_info.module.start && page < boot_info.module.end;
}

static void* next_untouched(void) {
  while (region < boot_info.region_count) {
    const struct MemoryRegion* current = &boot_info.regions[region];
    if (untouched < current->start) untouched = round_up(current->start);
    while (untouched < current->end && current->end - untouched >= kPageSize) {
      uint32_t page = untouched;
      untouched += kPageSize;
      if (!is_reserved(page)) return kernel_pointer(page);
    }
    ++region;
    untouched = 0;
  }
  return NULL;
}

void page_allocator_init(void) {
  while (next_untouched()) ++pages_free;
  region = 0;
  untouched = 0;
  note("memory: %u KiB free\n", pages_free * (kPageSize / 1024));
}

void* page_allocate(void) {
  void* page = free_list;
  if (page) {
    free_list = free_list->next;
  } else {
    page = next_untouched();
  }
  if (!page) return NULL;
  --pages_free;
  users[physical_of(page) / kPageSize] = 1;
  return memset(page, 0, kPageSize);
}

void page_share(void* page) {
  ++users[physical_of(page) / kPageSize];
}

void page_release(void* page) {
  uint16_t* count = &users[physical_of(page) / kPageSize];
  if (*count == 0) panic("page %p released twice", page);
  if (--*count > 0) return;
  struct FreePage* free_page = page;
  free_page->next = free_list;
  free_list = free_page;
  ++pages_free;
}

unsigned page_users(const void* page) {
  return users[physical_of(page) / kPageSize];
}
