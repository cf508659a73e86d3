// What a program can use: the system calls and a small library.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/abi.h"
#include "common/strings.h"

// System calls. All return -1 if they fail. common/abi.h has the structures and flags.
_Noreturn void exit(int status);
int fork(void);  // 0 in the child
int exec(const char* path, char* const* arguments);
int wait(int* status);  // the pid of a child that ended; `status` may be NULL
int kill(int pid);
int getpid(void);
int yield(void);
int sleep(int duration);  // in ticks, kTicksPerSecond of them
int uptime(void);         // in ticks
void* sbrk(int bytes);    // the old end of the heap; (void*)-1 if it cannot grow
int pipe(int ends[2]);    // ends[0] reads, ends[1] writes
int dup(int file);        // the lowest free number
int open(const char* path, int flags);
int close(int file);
int read(int file, void* to, int size);
int write(int file, const void* from, int size);
int unlink(const char* path);
int mkdir(const char* path);
int chdir(const char* path);
int fstat(int file, struct FileInfo* information);
int readdir(int file, struct DirectoryEntry* entry);  // 1; 0 at the end
int processes(struct ProcessInfo* rows, int count);
int set_group(int group);   // the job that this process belongs to
int foreground(int group);  // whom control-C kills; 0: nobody
_Noreturn void halt(void);

// Library.
void print(const char* text, ...) __attribute__((format(printf, 1, 2)));
void print_to(int file, const char* text, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void fail(const char* text, ...) __attribute__((format(printf, 1, 2)));  // print and exit(1)
int number_of(const char* text);
int read_line(int file, char* line, int size);  // length with the line's end; 0 at the end of the input

// Opens what a program's arguments name, or the standard input if they name nothing; calls `each`.
void for_each_input(int count, char** names, void (*each)(int file, const char* name));
