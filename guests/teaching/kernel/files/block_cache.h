// The disk's blocks that were used last, in memory. Writes go through to the disk at once, so the order of
// calls is the order on disk.
//
// The caller holds the file system's lock. A pointer stays good while fewer than kCachedBlocks other blocks
// are asked for, and until the lock is given back: no operation needs more than a handful.
#pragma once

#include <stdint.h>

enum { kCachedBlocks = 128 };

void* block_read(uint32_t number);
void* block_zeroed(uint32_t number);  // for a block that is about to be filled: does not read it
void block_write(const void* data);   // `data` is what one of the others returned
