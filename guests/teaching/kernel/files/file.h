// Open files: what a process reads and writes by number. One may be shared by several processes and
// numbers (fork, dup), which then share its offset, too.
#pragma once

#include "common/abi.h"

enum FileType { kFileClosed, kFileInode, kFilePipe };

struct Inode;
struct Pipe;

struct File {
  enum FileType type;
  int users;
  uint32_t flags;  // enum OpenFlags
  struct Inode* inode;
  struct Pipe* pipe;
  uint32_t offset;
};

struct File* file_allocate(enum FileType type, uint32_t flags);  // NULL: too many are open
struct File* file_open(const char* path, uint32_t flags);
struct File* file_share(struct File* file);  // NULL is fine here, and in file_close()
void file_close(struct File* file);
int file_read(struct File* file, char* to, int size);
int file_write(struct File* file, const char* from, int size);
int file_information(struct File* file, struct FileInfo* information);
int file_next_entry(struct File* file, struct DirectoryEntry* entry);  // 1; 0 at the end
