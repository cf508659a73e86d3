// A process: an address space, a kernel stack, open files, and a place in the family.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/abi.h"

//            create           schedule            exit          wait
//   kUnused ────────► kReady ◄────────► kRunning ──────► kZombie ────► kUnused
//                        ▲                  │ sleep_on
//                        └── kSleeping ◄────┘
enum ProcessState { kUnused, kReady, kRunning, kSleeping, kZombie, kIdle };

struct File;
struct Inode;
struct TrapFrame;

struct Process {
  enum ProcessState state;
  int pid;
  int group;    // the job that it belongs to, for control-C
  bool killed;  // must exit before it returns to user mode
  int exit_status;
  const void* channel;  // what it sleeps on
  struct Process* parent;
  uint32_t* directory;
  uint32_t heap_start, heap_end;
  char* kernel_stack;       // one page
  struct TrapFrame* frame;  // at the top of the kernel stack: its user registers
  uint32_t* kernel_esp;     // where switch_context() left off
  struct File* files[kMaxOpenFiles];
  struct Inode* working_directory;
  char name[16];
  uint32_t ticks;
  int processor;  // the last one that ran it
};

extern struct Process processes[kMaxProcesses];

struct Process* current_process(void);
struct Process* process_find(int pid);

void process_create_first(void);
int process_fork(void);
int process_wait(int* status);
_Noreturn void process_exit(int status);
void process_kill(struct Process* process);
int process_grow(int bytes);  // sbrk(): the old end of the heap, or -1

// exec.c: replaces the current process's program. On success its frame starts the new one.
int process_exec(const char* path, const char* const* arguments);
