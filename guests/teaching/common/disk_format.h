// The file system on disk, for the kernel and for the host tool that makes images.
//
//   block 0      1            bitmap_start      inode_start       data_start
//   | unused | superblock | one bit a block | 16 inodes a block | data … |
//
// Numbers are little-endian. A file's blocks: 12 direct, then one indirect block of 256 numbers, then a
// doubly indirect one. Block number 0 stands for a hole, which reads as zeros. A directory is a file of
// struct DirectoryEntry (abi.h). On a bootable disk the file system is the second primary partition.
#pragma once

#include <stdint.h>

enum {
  kDiskMagic = 0x656e6170,  // "pane"
  kBlockSize = 1024,
  kSectorSize = 512,
  kSectorsPerBlock = kBlockSize / kSectorSize,
  kDirectBlocks = 12,
  kNumbersPerBlock = kBlockSize / 4,
  kInodesPerBlock = kBlockSize / 64,
  kMaxFileBlocks = kDirectBlocks + kNumbersPerBlock + kNumbersPerBlock * kNumbersPerBlock,
  kRootInode = 1,  // inode 0 is never used
  kPartitionTable = 446,
  kPartitionTypeBoot = 0xda,
  kPartitionTypePane = 0x50
};

struct Superblock {
  uint32_t magic;
  uint32_t block_count;
  uint32_t inode_count;
  uint32_t bitmap_start;
  uint32_t inode_start;
  uint32_t data_start;
};

struct DiskInode {
  uint16_t type;  // enum InodeType
  uint16_t links;
  uint32_t size;
  uint32_t blocks[kDirectBlocks + 2];  // a device keeps its number in blocks[0]
};

_Static_assert(sizeof(struct DiskInode) == 64, "an inode is 64 bytes on disk");

struct Partition {
  uint8_t active;
  uint8_t first_chs[3];
  uint8_t type;
  uint8_t last_chs[3];
  uint32_t first_sector;
  uint32_t sectors;
};
