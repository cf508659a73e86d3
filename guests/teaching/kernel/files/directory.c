// Order of writes, as in inode.c: a new inode is on the disk before its name is; a name goes before its
// inode does.
#include "files/directory.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/strings.h"
#include "process/process.h"

enum { kEntrySize = sizeof(struct DirectoryEntry) };

// Where `name` stands in the directory; or, for "", the first free place. -1: nowhere.
static int find_entry(struct Inode* directory, const char* name, struct DirectoryEntry* entry) {
  for (uint32_t at = 0; at < directory->disk.size; at += kEntrySize) {
    inode_read(directory, at, entry, kEntrySize);
    if (name[0] == 0 && entry->inode == 0) return (int)at;
    if (name[0] != 0 && entry->inode != 0 && strcmp(entry->name, name) == 0) return (int)at;
  }
  return name[0] == 0 ? (int)directory->disk.size : -1;
}

static bool add_entry(struct Inode* directory, const char* name, uint32_t number) {
  struct DirectoryEntry entry;
  int at = find_entry(directory, "", &entry);
  memset(&entry, 0, sizeof entry);
  entry.inode = number;
  copy_string(entry.name, name, sizeof entry.name);
  return inode_write(directory, (uint32_t)at, &entry, kEntrySize) == kEntrySize;
}

static bool is_empty(struct Inode* directory) {
  struct DirectoryEntry entry;
  for (uint32_t at = 0; at < directory->disk.size; at += kEntrySize) {
    inode_read(directory, at, &entry, kEntrySize);
    if (entry.inode != 0 && strcmp(entry.name, ".") != 0 && strcmp(entry.name, "..") != 0) return false;
  }
  return true;
}

// Takes the next name off a path. False: it is too long. An empty name: the path has ended.
static bool next_name(const char** path, char name[kMaxName + 1]) {
  while (**path == '/') ++*path;
  int length = 0;
  for (; **path && **path != '/'; ++*path) {
    if (length == kMaxName) return false;
    name[length++] = **path;
  }
  name[length] = 0;
  while (**path == '/') ++*path;
  return true;
}

static bool is_directory(const struct Inode* inode) {
  return inode->disk.type == kInodeDirectory && inode->disk.links > 0;
}

// Follows the path to the directory that holds (or would hold) its last name, which is left in `name`;
// it is empty for the root itself. No path leads through a directory that was removed, though it may still
// be somebody's working directory.
static struct Inode* find_parent(const char* path, char name[kMaxName + 1]) {
  struct Inode* here =
      path[0] == '/' ? inode_get(kRootInode) : inode_share(current_process()->working_directory);
  while (here && is_directory(here) && next_name(&path, name)) {
    if (*path == 0) return here;
    struct DirectoryEntry entry;
    bool found = find_entry(here, name, &entry) >= 0;
    inode_release_entered(here);
    here = found ? inode_get(entry.inode) : NULL;
  }
  inode_release_entered(here);
  return NULL;
}

struct Inode* directory_find(const char* path) {
  char name[kMaxName + 1];
  struct Inode* parent = find_parent(path, name);
  if (!parent || name[0] == 0) return parent;
  struct DirectoryEntry entry;
  struct Inode* found = find_entry(parent, name, &entry) >= 0 ? inode_get(entry.inode) : NULL;
  inode_release_entered(parent);
  return found;
}

static void set_links(struct Inode* inode, int links) {
  inode->disk.links = (uint16_t)links;
  inode_update(inode);
}

// A new inode with a name in `parent`, or NULL.
static struct Inode* create_in(struct Inode* parent, const char* name, enum InodeType type) {
  struct Inode* inode = inode_create(type);
  if (!inode) return NULL;
  bool directory = type == kInodeDirectory;
  bool good = !directory || (add_entry(inode, ".", inode->number) && add_entry(inode, "..", parent->number));
  if (good) {
    set_links(inode, directory ? 2 : 1);
    if (directory) set_links(parent, parent->disk.links + 1);
    if (add_entry(parent, name, inode->number)) return inode;
    if (directory) set_links(parent, parent->disk.links - 1);
  }
  set_links(inode, 0);
  inode_release_entered(inode);
  return NULL;
}

struct Inode* directory_create(const char* path) {
  char name[kMaxName + 1];
  struct Inode* parent = find_parent(path, name);
  if (!parent || name[0] == 0) return parent;
  struct DirectoryEntry entry;
  struct Inode* inode =
      find_entry(parent, name, &entry) >= 0 ? inode_get(entry.inode) : create_in(parent, name, kInodeFile);
  inode_release_entered(parent);
  return inode;
}

int directory_make(const char* path) {
  file_system_enter();
  char name[kMaxName + 1];
  struct DirectoryEntry entry;
  struct Inode* inode = NULL;
  struct Inode* parent = find_parent(path, name);
  if (parent && name[0] && find_entry(parent, name, &entry) < 0) {
    inode = create_in(parent, name, kInodeDirectory);
  }
  int result = inode ? 0 : -1;
  inode_release_entered(inode);
  inode_release_entered(parent);
  file_system_leave();
  return result;
}

static int remove_from(struct Inode* parent, const char* name) {
  struct DirectoryEntry entry;
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return -1;
  int at = find_entry(parent, name, &entry);
  struct Inode* inode = at >= 0 ? inode_get(entry.inode) : NULL;
  if (!inode) return -1;
  bool directory = inode->disk.type == kInodeDirectory;
  int result = -1;
  if (!directory || is_empty(inode)) {
    memset(&entry, 0, sizeof entry);
    inode_write(parent, (uint32_t)at, &entry, kEntrySize);
    if (directory) set_links(parent, parent->disk.links - 1);
    set_links(inode, directory ? 0 : inode->disk.links - 1);
    result = 0;
  }
  inode_release_entered(inode);
  return result;
}

int directory_remove(const char* path) {
  file_system_enter();
  char name[kMaxName + 1];
  struct Inode* parent = find_parent(path, name);
  int result = parent && name[0] ? remove_from(parent, name) : -1;
  inode_release_entered(parent);
  file_system_leave();
  return result;
}

int directory_change(const char* path) {
  file_system_enter();
  struct Process* process = current_process();
  struct Inode* inode = directory_find(path);
  bool good = inode && inode->disk.type == kInodeDirectory;
  if (good) {
    inode_release_entered(process->working_directory);
    process->working_directory = inode;
  } else {
    inode_release_entered(inode);
  }
  file_system_leave();
  return good ? 0 : -1;
}
