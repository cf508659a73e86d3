// Checks the file system in a disk image, on the host: walks all names from the root and compares what it
// meets with the bitmap and the link counts.
//
//   check_image IMAGE
//
// Status 0: all is well. 1: only space is lost (a crash may do that). 2: the file system is damaged.
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/abi.h"
#include "common/disk_format.h"

enum Severity { kLost = 1, kDamaged = 2 };

static uint8_t* blocks;
static const struct Superblock* superblock;
static const struct DiskInode* inodes;
static uint8_t* block_uses;
static uint16_t* names_of;  // how many names stand for each inode
static int worst;

static void report(enum Severity severity, const char* text, ...) {
  va_list arguments;
  va_start(arguments, text);
  printf("%s: ", severity == kLost ? "lost" : "damaged");
  vprintf(text, arguments);
  printf("\n");
  va_end(arguments);
  if (worst < (int)severity) worst = severity;
}

static uint8_t* read_image(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) return NULL;
  *size = (size_t)ftell(file);
  rewind(file);
  uint8_t* data = malloc(*size + 1);
  bool read = data && fread(data, 1, *size, file) == *size;
  fclose(file);
  return read ? data : NULL;
}

// Finds the file system as the kernel does (disk.c). False: there is none.
static bool mount(uint8_t* image, size_t size) {
  uint32_t start = 0;
  if (size > kSectorSize && image[510] == 0x55 && image[511] == 0xaa) {
    struct Partition partitions[4];
    memcpy(partitions, image + kPartitionTable, sizeof partitions);
    for (int i = 0; i < 4; ++i) {
      if (partitions[i].type == kPartitionTypePane) start = partitions[i].first_sector;
    }
  }
  size_t offset = (size_t)start * kSectorSize;
  if (offset + 2 * kBlockSize > size) return false;
  blocks = image + offset;
  superblock = (const struct Superblock*)(blocks + kBlockSize);
  if (superblock->magic != kDiskMagic || superblock->block_count > (size - offset) / kBlockSize) return false;
  inodes = (const struct DiskInode*)(blocks + (size_t)superblock->inode_start * kBlockSize);
  block_uses = calloc(superblock->block_count, 1);
  names_of = calloc(superblock->inode_count, sizeof *names_of);
  return block_uses && names_of;
}

static bool in_bitmap(uint32_t block) {
  const uint8_t* bits = blocks + (size_t)superblock->bitmap_start * kBlockSize;
  return bits[block / 8] >> block % 8 & 1;
}

static void use_tree(uint32_t inode, uint32_t block, int depth) {
  if (block == 0) return;
  if (block < superblock->data_start || block >= superblock->block_count) {
    report(kDamaged, "inode %u has block %u", inode, block);
    return;
  }
  if (block_uses[block]++) report(kDamaged, "block %u is used twice, by inode %u", block, inode);
  if (!in_bitmap(block)) report(kDamaged, "block %u of inode %u is free", block, inode);
  const uint32_t* numbers = (const uint32_t*)(blocks + (size_t)block * kBlockSize);
  for (int i = 0; depth > 0 && i < kNumbersPerBlock; ++i) use_tree(inode, numbers[i], depth - 1);
}

static void walk(uint32_t number);

// Directories end within the direct blocks and the single indirect one.
static void walk_directory(uint32_t number) {
  const struct DiskInode* inode = &inodes[number];
  for (uint32_t at = 0; at + sizeof(struct DirectoryEntry) <= inode->size;
       at += sizeof(struct DirectoryEntry)) {
    uint32_t index = at / kBlockSize;
    uint32_t block = index < kDirectBlocks ? inode->blocks[index] : inode->blocks[kDirectBlocks];
    if (block == 0 || block >= superblock->block_count || index >= kDirectBlocks + kNumbersPerBlock) continue;
    if (index >= kDirectBlocks) {
      block = ((const uint32_t*)(blocks + (size_t)block * kBlockSize))[index - kDirectBlocks];
      if (block == 0 || block >= superblock->block_count) continue;
    }
    struct DirectoryEntry entry;
    memcpy(&entry, blocks + (size_t)block * kBlockSize + at % kBlockSize, sizeof entry);
    if (entry.inode == 0) continue;
    if (entry.inode >= superblock->inode_count || inodes[entry.inode].type == kInodeFree) {
      report(kDamaged, "%.28s in directory %u has free inode %u", entry.name, number, entry.inode);
      continue;
    }
    walk(entry.inode);
  }
}

static void walk(uint32_t number) {
  if (names_of[number]++ > 0) return;
  const struct DiskInode* inode = &inodes[number];
  if (inode->type == kInodeDevice) return;
  for (int i = 0; i < kDirectBlocks; ++i) use_tree(number, inode->blocks[i], 0);
  use_tree(number, inode->blocks[kDirectBlocks], 1);
  use_tree(number, inode->blocks[kDirectBlocks + 1], 2);
  if (inode->type == kInodeDirectory) walk_directory(number);
}

static void compare_with_tables(void) {
  for (uint32_t i = kRootInode; i < superblock->inode_count; ++i) {
    uint32_t names = names_of[i] - (i == kRootInode);  // we came to the root without a name
    if (inodes[i].type == kInodeFree) continue;
    if (names == 0) report(kLost, "inode %u", i);
    if (names > 0 && inodes[i].links > names)
      report(kLost, "%u links of inode %u", inodes[i].links - names, i);
    if (inodes[i].links < names)
      report(kDamaged, "inode %u has %u names and %u links", i, names, inodes[i].links);
  }
  for (uint32_t i = superblock->data_start; i < superblock->block_count; ++i) {
    if (in_bitmap(i) && !block_uses[i]) report(kLost, "block %u", i);
  }
}

int main(int count, char** arguments) {
  size_t size = 0;
  uint8_t* image = count == 2 ? read_image(arguments[1], &size) : NULL;
  if (!image || !mount(image, size)) {
    fprintf(stderr, "check_image: no file system found\n");
    return kDamaged;
  }
  walk(kRootInode);
  compare_with_tables();
  return worst;
}
