// The order of writes is chosen so that a crash at any point loses space at worst, and never leaves
// something on the disk that points to what is not its own:
//   growing:   bitmap, then the block itself, then the inode that points to it;
//   shrinking: the inode first, then the bitmap.
#include "files/inode.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/strings.h"
#include "devices/disk.h"
#include "devices/print.h"
#include "files/block_cache.h"
#include "process/scheduler.h"

enum { kMaxInodes = 64, kBitsPerBlock = kBlockSize * 8 };

static struct Superblock superblock;
static struct Inode inodes[kMaxInodes];
static bool entered;
static uint32_t next_block;  // where to look first for a free one

void file_system_enter(void) {
  while (entered) sleep_on(&entered);
  entered = true;
}

void file_system_leave(void) {
  entered = false;
  wake(&entered);
}

void inode_mount(void) {
  file_system_enter();
  disk_find();
  superblock = *(const struct Superblock*)block_read(1);
  next_block = superblock.data_start;
  file_system_leave();
}

// ── blocks ──

static void set_in_use(uint32_t number, bool in_use) {
  uint8_t* bits = block_read(superblock.bitmap_start + number / kBitsPerBlock);
  uint32_t bit = number % kBitsPerBlock;
  if (in_use) {
    bits[bit / 8] |= (uint8_t)(1 << bit % 8);
  } else {
    bits[bit / 8] &= (uint8_t) ~(1 << bit % 8);
  }
  block_write(bits);
}

static bool is_in_use(uint32_t number) {
  const uint8_t* bits = block_read(superblock.bitmap_start + number / kBitsPerBlock);
  return bits[number % kBitsPerBlock / 8] >> number % 8 & 1;
}

// Returns 0 if the disk is full.
static uint32_t allocate_block(void) {
  uint32_t number = next_block;
  for (uint32_t tries = superblock.data_start; tries < superblock.block_count; ++tries, ++number) {
    if (number >= superblock.block_count) number = superblock.data_start;
    if (is_in_use(number)) continue;
    set_in_use(number, true);
    next_block = number + 1;
    return number;
  }
  return 0;
}

static void free_block(uint32_t number) {
  set_in_use(number, false);
  if (number < next_block) next_block = number;
}

// Frees a block; with `depth` > 0, also what the numbers in it stand for.
static void free_tree(uint32_t number, int depth) {
  if (number == 0) return;
  for (int i = 0; depth > 0 && i < kNumbersPerBlock; ++i) {
    const uint32_t* numbers = block_read(number);
    free_tree(numbers[i], depth - 1);
  }
  free_block(number);
}

// A new block for `*slot`. An indirect one is zeros on the disk before anything points to it.
static bool fill_slot(uint32_t* slot, int depth) {
  uint32_t number = allocate_block();
  if (number == 0) return false;
  void* data = block_zeroed(number);
  if (depth > 0) block_write(data);
  *slot = number;
  return true;
}

enum Missing { kMissingIsZero, kMissingIsAdded };

// The disk's block for block `index` of a file: goes from the inode through `depth` levels of numbers.
// The inode itself is written by the caller. Returns 0 for a hole, or if the disk is full.
static uint32_t block_of(struct Inode* inode, uint32_t index, enum Missing missing) {
  int depth = 0;
  uint32_t span = 1;  // blocks that one number of the current level stands for
  uint32_t* slot;
  if (index < kDirectBlocks) {
    slot = &inode->disk.blocks[index];
  } else if ((index -= kDirectBlocks) < kNumbersPerBlock) {
    depth = 1;
    slot = &inode->disk.blocks[kDirectBlocks];
  } else {
    index -= kNumbersPerBlock;
    depth = 2;
    span = kNumbersPerBlock;
    slot = &inode->disk.blocks[kDirectBlocks + 1];
  }
  if (*slot == 0 && (missing == kMissingIsZero || !fill_slot(slot, depth))) return 0;
  uint32_t number = *slot;
  while (depth-- > 0) {
    uint32_t* numbers = block_read(number);
    uint32_t* next = &numbers[index / span];
    index %= span;
    span /= kNumbersPerBlock;
    if (*next == 0) {
      if (missing == kMissingIsZero || !fill_slot(next, depth)) return 0;
      block_write(numbers);
    }
    number = *next;
  }
  return number;
}

// ── inodes ──

static struct DiskInode* on_disk(uint32_t number) {
  struct DiskInode* table = block_read(superblock.inode_start + number / kInodesPerBlock);
  return &table[number % kInodesPerBlock];
}

struct Inode* inode_get(uint32_t number) {
  struct Inode* place = NULL;
  for (struct Inode* inode = inodes; inode < inodes + kMaxInodes; ++inode) {
    if (inode->users > 0 && inode->number == number) return inode_share(inode);
    if (inode->users == 0) place = inode;
  }
  if (!place || number == 0 || number >= superblock.inode_count) return NULL;
  place->users = 1;
  place->number = number;
  place->disk = *on_disk(number);
  return place;
}

void inode_update(struct Inode* inode) {
  struct DiskInode* disk = on_disk(inode->number);
  *disk = inode->disk;
  block_write((void*)((uint32_t)disk & ~(kBlockSize - 1)));
}

struct Inode* inode_create(enum InodeType type) {
  for (uint32_t number = kRootInode; number < superblock.inode_count; ++number) {
    if (on_disk(number)->type != kInodeFree) continue;
    struct Inode* inode = inode_get(number);
    if (!inode) return NULL;
    inode->disk = (struct DiskInode){.type = type};
    inode_update(inode);
    return inode;
  }
  return NULL;
}

struct Inode* inode_share(struct Inode* inode) {
  ++inode->users;
  return inode;
}

// The last user of a file without links takes it off the disk.
void inode_release_entered(struct Inode* inode) {
  if (!inode) return;
  if (inode->users == 1 && inode->disk.links == 0) {
    inode_truncate(inode);
    inode->disk.type = kInodeFree;
    inode_update(inode);
  }
  --inode->users;
}

void inode_release(struct Inode* inode) {
  file_system_enter();
  inode_release_entered(inode);
  file_system_leave();
}

void inode_truncate(struct Inode* inode) {
  if (inode->disk.type == kInodeDevice) return;
  struct DiskInode old = inode->disk;
  inode->disk.size = 0;
  memset(inode->disk.blocks, 0, sizeof inode->disk.blocks);
  inode_update(inode);
  for (int i = 0; i < kDirectBlocks; ++i) free_tree(old.blocks[i], 0);
  free_tree(old.blocks[kDirectBlocks], 1);
  free_tree(old.blocks[kDirectBlocks + 1], 2);
}

static uint32_t piece_in_block(uint32_t offset, uint32_t size) {
  uint32_t room = kBlockSize - offset % kBlockSize;
  return size < room ? size : room;
}

int inode_read(struct Inode* inode, uint32_t offset, void* to, uint32_t size) {
  if (offset >= inode->disk.size) return 0;
  if (size > inode->disk.size - offset) size = inode->disk.size - offset;
  for (uint32_t done = 0; done < size;) {
    uint32_t at = offset + done;
    uint32_t piece = piece_in_block(at, size - done);
    uint32_t number = block_of(inode, at / kBlockSize, kMissingIsZero);
    if (number == 0) {
      memset((char*)to + done, 0, piece);
    } else {
      memcpy((char*)to + done, (const char*)block_read(number) + at % kBlockSize, piece);
    }
    done += piece;
  }
  return (int)size;
}

// Writes as much as there is room for; -1 if that is nothing.
int inode_write(struct Inode* inode, uint32_t offset, const void* from, uint32_t size) {
  uint32_t done = 0;
  while (done < size && (offset + done) / kBlockSize < kMaxFileBlocks) {
    uint32_t at = offset + done;
    uint32_t piece = piece_in_block(at, size - done);
    uint32_t number = block_of(inode, at / kBlockSize, kMissingIsAdded);
    if (number == 0) break;
    char* data = block_read(number);
    memcpy(data + at % kBlockSize, (const char*)from + done, piece);
    block_write(data);
    done += piece;
  }
  if (offset + done > inode->disk.size) inode->disk.size = offset + done;
  inode_update(inode);
  return done > 0 || size == 0 ? (int)done : -1;
}
