// Physical memory, one page at a time. Every page in use has a count of its users, so that processes can
// share pages after fork().
#pragma once

#include <stdint.h>

enum { kPageSize = 4096 };

extern unsigned pages_free;

void page_allocator_init(void);

// A page of zeros with one user, or NULL when memory is used up.
void* page_allocate(void);

void page_share(void* page);    // one user more
void page_release(void* page);  // one user less; the last one frees it
unsigned page_users(const void* page);
