// Names: directories, and paths through them. A path begins at the root or at the working directory.
#pragma once

#include "files/inode.h"

struct Inode* directory_find(const char* path);    // entered; a share of the inode, or NULL
struct Inode* directory_create(const char* path);  // entered; the file there, made if there is none

int directory_make(const char* path);
int directory_remove(const char* path);  // a file, or an empty directory
int directory_change(const char* path);  // the working directory
