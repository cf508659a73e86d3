// Address spaces: a page directory for each process. The upper quarter is the kernel's and the same in
// all of them; user programs cannot touch it. README.md has the picture.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
  kUserStart = 0x00400000,  // programs begin here; below, null pointers fault
  kKernelBase = 0xC0000000,
  kStackTop = kKernelBase,
  kStackSize = 0x00100000,  // how far a user stack may grow
  kStackLimit = kStackTop - kStackSize,
  kMappedMemory = 0x30000000  // physical memory that the kernel sees at kKernelBase
};

// Page table entries: SDM Vol. 3A, "32-Bit Paging".
enum {
  kPagePresent = 0x001,
  kPageWritable = 0x002,
  kPageUser = 0x004,
  kPageCopyOnWrite = 0x200,  // ours: bits 9–11 are ignored by the processor
  kPageAddress = ~0xfff
};

enum Access { kAccessRead, kAccessWrite };

struct Process;
extern uint32_t kernel_directory[1024];

static inline void* kernel_pointer(uint32_t physical) {
  return (void*)(physical + kKernelBase);
}
static inline uint32_t physical_of(const void* pointer) {
  return (uint32_t)pointer - kKernelBase;
}

void address_space_init(void);

// Shows kWindowSize bytes or more of physical memory from anywhere, until the next call. Only during boot.
enum { kWindowSize = 1 << 22 };
void* kernel_window(uint32_t physical);

uint32_t* address_space_create(void);  // NULL: out of memory
void address_space_free(uint32_t* directory);

// The child's copy in fork(): shares every page, and makes the writable ones copy on write in both.
uint32_t* address_space_copy(uint32_t* directory);

// The entry for a user address; makes the page table if needed, or returns NULL (`kAccessRead`: only looks).
uint32_t* address_space_entry(uint32_t* directory, uint32_t address, enum Access access);

// A new page of zeros at `address`. Returns its kernel address, or NULL.
void* address_space_add_page(uint32_t* directory, uint32_t address, uint32_t flags);

void address_space_remove(uint32_t* directory, uint32_t start, uint32_t end);

// Makes `address` accessible if the process has a right to it: copies a shared page, adds a page of heap
// or stack. False: the access is an error, or memory is used up.
bool address_space_resolve(struct Process* process, uint32_t address, enum Access access);

// Before the kernel uses a user pointer: are all these bytes the current process's own to access? Resolves
// them, so that the access cannot fault.
bool user_bytes(uint32_t address, uint32_t size, enum Access access);

// The same for a string. Returns NULL, or the string, which is shorter than `size`.
const char* user_string(uint32_t address, uint32_t size);

unsigned address_space_pages(uint32_t* directory);
