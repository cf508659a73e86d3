#include "files/file.h"

#include <stdbool.h>
#include <stddef.h>

#include "devices/console.h"
#include "files/directory.h"
#include "files/inode.h"
#include "files/pipe.h"

enum { kMaxFiles = 128, kDeviceConsole = 0 };  // any other device is a bottomless pit: /dev/null

static struct File files[kMaxFiles];

struct File* file_allocate(enum FileType type, uint32_t flags) {
  for (struct File* file = files; file < files + kMaxFiles; ++file) {
    if (file->type != kFileClosed) continue;
    *file = (struct File){.type = type, .users = 1, .flags = flags};
    return file;
  }
  return NULL;
}

static struct Inode* open_inode(const char* path, uint32_t flags) {
  struct Inode* inode = flags & kOpenCreate ? directory_create(path) : directory_find(path);
  if (!inode) return NULL;
  if (inode->disk.type == kInodeDirectory && (flags & kOpenWrite)) {
    inode_release_entered(inode);
    return NULL;
  }
  if ((flags & kOpenTruncate) && (flags & kOpenWrite)) inode_truncate(inode);
  return inode;
}

struct File* file_open(const char* path, uint32_t flags) {
  struct File* file = file_allocate(kFileInode, flags);
  if (!file) return NULL;
  file_system_enter();
  file->inode = open_inode(path, flags);
  file_system_leave();
  if (file->inode) return file;
  file->type = kFileClosed;
  return NULL;
}

struct File* file_share(struct File* file) {
  if (file) ++file->users;
  return file;
}

void file_close(struct File* file) {
  if (!file || --file->users > 0) return;
  struct File closed = *file;
  file->type = kFileClosed;
  if (closed.type == kFilePipe) pipe_close(closed.pipe, closed.flags);
  if (closed.type == kFileInode) inode_release(closed.inode);
}

static bool is_device(const struct File* file) {
  return file->type == kFileInode && file->inode->disk.type == kInodeDevice;
}

static bool is_console(const struct File* file) {
  return file->inode->disk.blocks[0] == kDeviceConsole;
}

int file_read(struct File* file, char* to, int size) {
  if (!(file->flags & kOpenRead)) return -1;
  if (file->type == kFilePipe) return pipe_read(file->pipe, to, size);
  if (is_device(file)) return is_console(file) ? console_read(to, size) : 0;
  file_system_enter();
  int count = inode_read(file->inode, file->offset, to, (uint32_t)size);
  file->offset += (uint32_t)count;
  file_system_leave();
  return count;
}

int file_write(struct File* file, const char* from, int size) {
  if (!(file->flags & kOpenWrite)) return -1;
  if (file->type == kFilePipe) return pipe_write(file->pipe, from, size);
  if (is_device(file)) return is_console(file) ? console_write(from, size) : size;
  file_system_enter();
  if (file->flags & kOpenAppend) file->offset = file->inode->disk.size;
  int count = inode_write(file->inode, file->offset, from, (uint32_t)size);
  if (count > 0) file->offset += (uint32_t)count;
  file_system_leave();
  return count;
}

int file_information(struct File* file, struct FileInfo* information) {
  if (file->type != kFileInode) return -1;
  const struct Inode* inode = file->inode;
  information->inode = inode->number;
  information->type = inode->disk.type;
  information->links = inode->disk.links;
  information->size = inode->disk.size;
  return 0;
}

int file_next_entry(struct File* file, struct DirectoryEntry* entry) {
  if (file->type != kFileInode || file->inode->disk.type != kInodeDirectory) return -1;
  file_system_enter();
  int count;
  do {
    count = inode_read(file->inode, file->offset, entry, sizeof *entry);
    file->offset += (uint32_t)count;
  } while (count > 0 && entry->inode == 0);
  file_system_leave();
  return count > 0;
}
