#include "files/block_cache.h"

#include "common/disk_format.h"
#include "common/strings.h"
#include "devices/disk.h"

struct Block {
  uint32_t number;  // block 0 is never asked for: it marks an empty place
  uint32_t last_use;
};

static struct Block blocks[kCachedBlocks];
static char data_of[kCachedBlocks][kBlockSize] __attribute__((aligned(kBlockSize)));
static uint32_t uses;

// The block's place if it is here; otherwise the one that has not been used for longest.
static struct Block* find(uint32_t number) {
  struct Block* oldest = &blocks[0];
  for (struct Block* block = blocks; block < blocks + kCachedBlocks; ++block) {
    if (block->number == number) {
      oldest = block;
      break;
    }
    if (uses - block->last_use > uses - oldest->last_use) oldest = block;
  }
  oldest->last_use = ++uses;
  return oldest;
}

void* block_read(uint32_t number) {
  struct Block* block = find(number);
  char* data = data_of[block - blocks];
  if (block->number != number) {
    disk_read(number, data);
    block->number = number;
  }
  return data;
}

void* block_zeroed(uint32_t number) {
  struct Block* block = find(number);
  block->number = number;
  return memset(data_of[block - blocks], 0, kBlockSize);
}

void block_write(const void* data) {
  uint32_t index = (uint32_t)((const char*)data - data_of[0]) / kBlockSize;
  disk_write(blocks[index].number, data_of[index]);
}
