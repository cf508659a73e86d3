#include "devices/disk.h"

#include <stdbool.h>
#include <stddef.h>

#include "boot/boot_info.h"
#include "common/disk_format.h"
#include "common/strings.h"
#include "devices/ide_disk.h"
#include "devices/print.h"
#include "memory/address_space.h"

static char* ram_disk;  // NULL: the IDE disk is used
static uint32_t ram_disk_blocks;
static uint32_t first_sector;

static bool has_superblock(const void* block) {
  return ((const struct Superblock*)block)->magic == kDiskMagic;
}

// The file system begins with the disk, or with our partition of it.
static bool find_on_ide(void) {
  static char buffer[kBlockSize];
  if (!ide_disk_present()) return false;
  ide_disk_transfer(0, buffer, kIdeRead);
  if ((uint8_t)buffer[510] == 0x55 && (uint8_t)buffer[511] == 0xaa) {
    struct Partition partitions[4];
    memcpy(partitions, buffer + kPartitionTable, sizeof partitions);
    for (int i = 0; i < 4; ++i) {
      if (partitions[i].type == kPartitionTypePane) first_sector = partitions[i].first_sector;
    }
  }
  ide_disk_transfer(first_sector + kSectorsPerBlock, buffer, kIdeRead);
  return has_superblock(buffer);
}

void disk_find(void) {
  if (find_on_ide()) {
    note("disk: IDE, file system at sector %u\n", first_sector);
    return;
  }
  const struct MemoryRegion* module = &boot_info.module;
  ram_disk_blocks = (module->end - module->start) / kBlockSize;
  ram_disk = kernel_pointer(module->start);
  if (ram_disk_blocks < 2 || !has_superblock(ram_disk + kBlockSize)) panic("no file system found");
  note("disk: %u KiB in memory\n", ram_disk_blocks);
}

static char* in_memory(uint32_t block) {
  if (block >= ram_disk_blocks) panic("block %u is beyond the disk", block);
  return ram_disk + block * kBlockSize;
}

void disk_read(uint32_t block, void* to) {
  if (ram_disk) {
    memcpy(to, in_memory(block), kBlockSize);
  } else {
    ide_disk_transfer(first_sector + block * kSectorsPerBlock, to, kIdeRead);
  }
}

void disk_write(uint32_t block, const void* from) {
  if (ram_disk) {
    memcpy(in_memory(block), from, kBlockSize);
  } else {
    ide_disk_transfer(first_sector + block * kSectorsPerBlock, (void*)from, kIdeWrite);
  }
}
