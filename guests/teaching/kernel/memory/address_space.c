// Page tables. A process's address space is used by one processor at a time (there are no threads), and
// the kernel's part never changes after boot: so reloading CR3 or INVLPG on this processor is always
// enough, and no other processor's TLB ever holds something stale of a space that runs.
#include "memory/address_space.h"

#include <stddef.h>

#include "common/strings.h"
#include "cpu/paravirtual.h"
#include "cpu/x86.h"
#include "memory/page_allocator.h"
#include "process/process.h"

enum {
  kEntries = 1024,
  kKernelEntry = kKernelBase >> 22,
  kWindowEntry = kEntries - 8,  // and the next: 8 MiB just below the APICs' registers
  kTableSpan = 1 << 22,
  kLargePage = 0x80
};

extern uint32_t boot_directory[kEntries];  // entry.S
uint32_t kernel_directory[kEntries] __attribute__((aligned(kPageSize)));

static void* page_of(uint32_t entry) {
  return kernel_pointer(entry & kPageAddress);
}

void address_space_init(void) {
  memcpy(&kernel_directory[kKernelEntry], &boot_directory[kKernelEntry], kPageSize - kKernelEntry * 4);
  write_cr3(physical_of(kernel_directory));
}

void* kernel_window(uint32_t physical) {
  uint32_t start = physical & ~(kTableSpan - 1);
  kernel_directory[kWindowEntry] = start | kLargePage | kPagePresent;
  kernel_directory[kWindowEntry + 1] = (start + kTableSpan) | kLargePage | kPagePresent;
  write_cr3(physical_of(kernel_directory));
  return (void*)((uint32_t)kWindowEntry * kTableSpan + (physical - start));
}

uint32_t* address_space_create(void) {
  uint32_t* directory = page_allocate();
  if (directory) memcpy(directory, kernel_directory, kPageSize);
  return directory;
}

uint32_t* address_space_entry(uint32_t* directory, uint32_t address, enum Access access) {
  uint32_t* slot = &directory[address >> 22];
  if (!(*slot & kPagePresent)) {
    if (access == kAccessRead) return NULL;
    void* table = page_allocate();
    if (!table) return NULL;
    *slot = physical_of(table) | kPagePresent | kPageWritable | kPageUser;
  }
  uint32_t* table = page_of(*slot);
  return &table[address >> 12 & (kEntries - 1)];
}

void* address_space_add_page(uint32_t* directory, uint32_t address, uint32_t flags) {
  uint32_t* entry = address_space_entry(directory, address, kAccessWrite);
  if (!entry) return NULL;
  void* page = page_allocate();
  if (page) *entry = physical_of(page) | kPagePresent | kPageUser | flags;
  return page;
}

void address_space_remove(uint32_t* directory, uint32_t start, uint32_t end) {
  for (uint32_t address = start; address < end; address += kPageSize) {
    uint32_t* entry = address_space_entry(directory, address, kAccessRead);
    if (!entry || !(*entry & kPagePresent)) continue;
    page_release(page_of(*entry));
    change_page(entry, 0, address);
  }
  finish_page_changes();
}

void address_space_free(uint32_t* directory) {
  for (int i = 0; i < kKernelEntry; ++i) {
    if (!(directory[i] & kPagePresent)) continue;
    uint32_t* table = page_of(directory[i]);
    for (int j = 0; j < kEntries; ++j) {
      if (table[j] & kPagePresent) page_release(page_of(table[j]));
    }
    page_release(table);
  }
  page_release(directory);
}

static void share_entry(uint32_t* from, uint32_t* to) {
  if (!(*from & kPagePresent)) return;
  if (*from & kPageWritable) *from = (*from & ~kPageWritable) | kPageCopyOnWrite;
  page_share(page_of(*from));
  *to = *from;
}

uint32_t* address_space_copy(uint32_t* directory) {
  uint32_t* copy = address_space_create();
  for (uint32_t i = 0; copy && i < kKernelEntry; ++i) {
    if (!(directory[i] & kPagePresent)) continue;
    uint32_t* from = page_of(directory[i]);
    uint32_t* to = address_space_entry(copy, i * kTableSpan, kAccessWrite);
    if (!to) {
      address_space_free(copy);
      copy = NULL;
      break;
    }
    for (int j = 0; j < kEntries; ++j) share_entry(&from[j], &to[j]);
  }
  write_cr3(physical_of(directory));  // forget that pages were writable
  return copy;
}

// A write to a shared page: the last one who shares it keeps it, everybody else gets a copy.
static bool copy_page(uint32_t* entry, uint32_t address) {
  void* page = page_of(*entry);
  uint32_t flags = (*entry & ~(kPageAddress | kPageCopyOnWrite)) | kPageWritable;
  if (page_users(page) > 1) {
    void* copy = page_allocate();
    if (!copy) return false;
    memcpy(copy, page, kPageSize);
    page_release(page);
    page = copy;
  }
  change_page(entry, physical_of(page) | flags, address & kPageAddress);
  finish_page_changes();
  return true;
}

bool address_space_resolve(struct Process* process, uint32_t address, enum Access access) {
  if (address >= kKernelBase) return false;
  uint32_t* entry = address_space_entry(process->directory, address, kAccessRead);
  if (entry && (*entry & kPagePresent)) {
    if (access == kAccessRead || (*entry & kPageWritable)) return true;
    return (*entry & kPageCopyOnWrite) && copy_page(entry, address);
  }
  bool in_heap = address >= process->heap_start && address < process->heap_end;
  bool in_stack = address >= kStackLimit;
  if (!in_heap && !in_stack) return false;
  return address_space_add_page(process->directory, address & kPageAddress, kPageWritable) != NULL;
}

bool user_bytes(uint32_t address, uint32_t size, enum Access access) {
  if (size == 0) return true;
  uint32_t last = address + size - 1;
  if (last < address || last >= kKernelBase) return false;
  for (uint32_t page = address & kPageAddress; page <= last; page += kPageSize) {
    if (!address_space_resolve(current_process(), page, access)) return false;
  }
  return true;
}

const char* user_string(uint32_t address, uint32_t size) {
  const char* text = (const char*)address;
  for (uint32_t i = 0; i < size; ++i) {
    bool new_page = i == 0 || ((address + i) & (kPageSize - 1)) == 0;
    if (new_page && !user_bytes(address + i, 1, kAccessRead)) return NULL;
    if (text[i] == 0) return text;
  }
  return NULL;
}

unsigned address_space_pages(uint32_t* directory) {
  unsigned count = 0;
  for (int i = 0; i < kKernelEntry; ++i) {
    if (!(directory[i] & kPagePresent)) continue;
    const uint32_t* table = page_of(directory[i]);
    for (int j = 0; j < kEntries; ++j) count += table[j] & kPagePresent;
  }
  return count;
}
