// Makes disk images, on the host: a plain file system, or a disk that boots.
//
//   make_image OUTPUT KIBIBYTES [--boot BOOT_SECTOR LOADER KERNEL] [--options TEXT] FILE…
//
// Every FILE goes to /bin, or with `NAME=FILE` to the path NAME. A bootable disk is: boot sector with
// partition table; partition 1: loader and kernel; partition 2: the file system, KIBIBYTES long. The same
// input gives the same image. common/disk_format.h draws the file system.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/abi.h"
#include "common/disk_format.h"

enum { kInodeCount = 512, kBootStart = 1, kAlignment = 64, kOptionsOffset = 16, kOptionsSize = 112 };

static uint8_t* file_system;
static struct Superblock* superblock;
static struct DiskInode* inodes;
static uint32_t next_inode = kRootInode;
static uint32_t next_block;

struct Bytes {
  uint8_t* data;
  size_t size;
};

static void die(const char* what, const char* which) {
  fprintf(stderr, "make_image: %s %s\n", what, which);
  exit(1);
}

static struct Bytes read_all(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) die("cannot open", path);
  long size = ftell(file);
  rewind(file);
  struct Bytes bytes = {malloc(size > 0 ? (size_t)size : 1), (size_t)size};
  if (size < 0 || !bytes.data || fread(bytes.data, 1, bytes.size, file) != bytes.size)
    die("cannot read", path);
  fclose(file);
  return bytes;
}

static uint32_t new_block(void) {
  if (next_block == superblock->block_count) die("no room for", "the files");
  uint8_t* bits = file_system + superblock->bitmap_start * kBlockSize;
  bits[next_block / 8] |= (uint8_t)(1 << next_block % 8);
  return next_block++;
}

static uint8_t* fill(uint32_t* slot) {
  if (*slot == 0) *slot = new_block();
  return file_system + (size_t)*slot * kBlockSize;
}

// Files here end within the single indirect block.
static uint8_t* block_of(struct DiskInode* inode, uint32_t index) {
  if (index < kDirectBlocks) return fill(&inode->blocks[index]);
  index -= kDirectBlocks;
  if (index >= kNumbersPerBlock) die("too big:", "a file");
  uint32_t* numbers = (uint32_t*)fill(&inode->blocks[kDirectBlocks]);
  return fill(&numbers[index]);
}

static void append(struct DiskInode* inode, const void* from, size_t size) {
  const uint8_t* cursor = from;
  while (size > 0) {
    uint32_t in_block = inode->size % kBlockSize;
    size_t piece = size < kBlockSize - in_block ? size : kBlockSize - in_block;
    memcpy(block_of(inode, inode->size / kBlockSize) + in_block, cursor, piece);
    inode->size += (uint32_t)piece;
    cursor += piece;
    size -= piece;
  }
}

static uint32_t new_inode(enum InodeType type) {
  if (next_inode == kInodeCount) die("too many", "files");
  inodes[next_inode].type = (uint16_t)type;
  return next_inode++;
}

static void add_name(uint32_t directory, const char* name, uint32_t number) {
  struct DirectoryEntry entry = {.inode = number};
  if (strlen(name) > kMaxName) die("name too long:", name);
  strcpy(entry.name, name);
  append(&inodes[directory], &entry, sizeof entry);
  ++inodes[number].links;
}

static uint32_t new_directory(uint32_t parent, const char* name) {
  uint32_t number = new_inode(kInodeDirectory);
  add_name(number, ".", number);
  add_name(number, "..", parent ? parent : number);
  if (parent) add_name(parent, name, number);
  return number;
}

static void new_device(uint32_t directory, const char* name, uint32_t device) {
  uint32_t number = new_inode(kInodeDevice);
  inodes[number].blocks[0] = device;
  add_name(directory, name, number);
}

static void make_file_system(uint32_t blocks) {
  file_system = calloc(blocks, kBlockSize);
  if (!file_system || blocks < 128) die("cannot make", "a file system of this size");
  uint32_t bitmap_blocks = (blocks + kBlockSize * 8 - 1) / (kBlockSize * 8);
  superblock = (struct Superblock*)(file_system + kBlockSize);
  superblock->magic = kDiskMagic;
  superblock->block_count = blocks;
  superblock->inode_count = kInodeCount;
  superblock->bitmap_start = 2;
  superblock->inode_start = 2 + bitmap_blocks;
  superblock->data_start = superblock->inode_start + kInodeCount / kInodesPerBlock;
  inodes = (struct DiskInode*)(file_system + superblock->inode_start * kBlockSize);
  while (next_block < superblock->data_start) new_block();
}

static void add_file(uint32_t root, uint32_t bin, char* argument) {
  char* equals = strchr(argument, '=');
  const char* path = equals ? equals + 1 : argument;
  uint32_t directory = equals ? root : bin;
  const char* name = argument;
  if (equals) {
    *equals = 0;
  } else if (strrchr(path, '/')) {
    name = strrchr(path, '/') + 1;
  }
  struct Bytes bytes = read_all(path);
  uint32_t number = new_inode(kInodeFile);
  append(&inodes[number], bytes.data, bytes.size);
  add_name(directory, name, number);
  free(bytes.data);
}

static void write_all(FILE* output, const void* data, size_t size) {
  if (fwrite(data, 1, size, output) != size) die("cannot write", "the image");
}

static void pad_to(FILE* output, uint32_t sector) {
  static const uint8_t zeros[kSectorSize];
  while (ftell(output) < (long)sector * kSectorSize) {
    long rest = kSectorSize - ftell(output) % kSectorSize;
    write_all(output, zeros, (size_t)rest);
  }
}

static uint32_t sectors_of(size_t bytes) {
  return (uint32_t)((bytes + kSectorSize - 1) / kSectorSize);
}

static void write_boot(FILE* output, char** paths, const char* options, uint32_t* sector) {
  struct Bytes boot = read_all(paths[0]), loader = read_all(paths[1]), kernel = read_all(paths[2]);
  if (boot.size != kSectorSize || loader.size % kSectorSize != 0) die("wrong size:", paths[0]);
  if (strlen(options) >= kOptionsSize) die("too long:", options);
  strcpy((char*)loader.data + kOptionsOffset, options);
  uint32_t boot_sectors = sectors_of(loader.size + kernel.size);
  uint32_t start = (kBootStart + boot_sectors + kAlignment - 1) / kAlignment * kAlignment;
  struct Partition partitions[2] = {
      {.active = 0x80, .type = kPartitionTypeBoot, .first_sector = kBootStart, .sectors = boot_sectors},
      {.type = kPartitionTypePane,
       .first_sector = start,
       .sectors = superblock->block_count * kSectorsPerBlock}};
  memcpy(boot.data + kPartitionTable, partitions, sizeof partitions);
  write_all(output, boot.data, boot.size);
  write_all(output, loader.data, loader.size);
  write_all(output, kernel.data, kernel.size);
  pad_to(output, start);
  *sector = start;
}

int main(int count, char** arguments) {
  if (count < 3) die("usage:", "OUTPUT KIBIBYTES [--boot SECTOR LOADER KERNEL] [--options TEXT] FILE...");
  char** boot = NULL;
  const char* options = "";
  make_file_system((uint32_t)strtoul(arguments[2], NULL, 10));
  uint32_t root = new_directory(0, "");
  uint32_t bin = new_directory(root, "bin");
  uint32_t dev = new_directory(root, "dev");
  new_directory(root, "tmp");
  new_device(dev, "console", 0);
  new_device(dev, "null", 1);
  for (int i = 3; i < count; ++i) {
    if (strcmp(arguments[i], "--boot") == 0 && i + 3 < count) {
      boot = &arguments[i + 1];
      i += 3;
    } else if (strcmp(arguments[i], "--options") == 0 && i + 1 < count) {
      options = arguments[++i];
    } else {
      add_file(root, bin, arguments[i]);
    }
  }
  FILE* output = fopen(arguments[1], "wb");
  if (!output) die("cannot write", arguments[1]);
  uint32_t sector = 0;
  if (boot) write_boot(output, boot, options, &sector);
  write_all(output, file_system, (size_t)superblock->block_count * kBlockSize);
  // Disks have whole cylinders: 16 heads of 63 sectors.
  if (boot) pad_to(output, (sector + superblock->block_count * kSectorsPerBlock + 1007) / 1008 * 1008);
  if (fclose(output) != 0) die("cannot write", arguments[1]);
  return 0;
}
