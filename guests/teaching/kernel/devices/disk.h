// The disk with the file system on it: an IDE disk, or else a module that the boot loader left in memory.
// Blocks are counted from the file system's start. The file system's lock is held, so there is one request
// at a time.
#pragma once

#include <stdint.h>

void disk_find(void);  // panics if there is no file system anywhere
void disk_read(uint32_t block, void* to);
void disk_write(uint32_t block, const void* from);
