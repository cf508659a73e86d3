// Files without names: inodes and their blocks. common/disk_format.h draws the disk.
//
// One lock, which may be held while sleeping, protects all of the file system. Functions whose comment
// says "entered" are called between file_system_enter() and file_system_leave().
#pragma once

#include "common/abi.h"
#include "common/disk_format.h"

struct Inode {
  uint32_t number;
  int users;  // open files, working directories, and whoever holds a pointer
  struct DiskInode disk;
};

void file_system_enter(void);
void file_system_leave(void);

void inode_mount(void);

struct Inode* inode_get(uint32_t number);         // entered; NULL: too many in use
struct Inode* inode_create(enum InodeType type);  // entered; with no links; NULL: no room
struct Inode* inode_share(struct Inode* inode);   // one user more
void inode_release_entered(struct Inode* inode);  // entered; one user less; NULL is fine
void inode_release(struct Inode* inode);          // the same, enters by itself
void inode_update(struct Inode* inode);           // entered; writes `disk` to the disk
void inode_truncate(struct Inode* inode);         // entered
int inode_read(struct Inode* inode, uint32_t offset, void* to, uint32_t size);           // entered
int inode_write(struct Inode* inode, uint32_t offset, const void* from, uint32_t size);  // entered
