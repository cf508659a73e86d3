// ls [directory or file]…: names, with type, size and inode.
#include "user/library/pane.h"

static void show(const char* name, const struct FileInfo* information) {
  static const char types[] = "?-dc";
  print("%c %6u %4u %s\n", types[information->type & 3], information->size, information->inode, name);
}

static void list(const char* path) {
  int file = open(path, kOpenRead);
  struct FileInfo information;
  if (file < 0 || fstat(file, &information) < 0) fail("ls: no %s\n", path);
  if (information.type != kInodeDirectory) {
    show(path, &information);
    close(file);
    return;
  }
  struct DirectoryEntry entry;
  if (chdir(path) < 0) fail("ls: cannot enter %s\n", path);
  while (readdir(file, &entry) == 1) {
    int inner = open(entry.name, kOpenRead);
    if (inner < 0 || fstat(inner, &information) < 0) fail("ls: cannot open %s\n", entry.name);
    show(entry.name, &information);
    close(inner);
  }
  close(file);
}

int main(int count, char** arguments) {
  if (count < 2) list(".");
  for (int i = 1; i < count; ++i) list(arguments[i]);
  return 0;
}
