// What the kernel and the programs must agree on: system call numbers, flags and structures.
// A call is `int $0x80` with the number in EAX and up to three arguments in EBX, ECX, EDX; the answer
// comes back in EAX, and -1 means failure.
#pragma once

#include <stdint.h>

enum SystemCall {
  kCallExit,
  kCallFork,
  kCallExec,
  kCallWait,
  kCallKill,
  kCallGetPid,
  kCallYield,
  kCallSleep,
  kCallUptime,
  kCallSbrk,
  kCallPipe,
  kCallDup,
  kCallOpen,
  kCallClose,
  kCallRead,
  kCallWrite,
  kCallUnlink,
  kCallMkdir,
  kCallChdir,
  kCallFstat,
  kCallReaddir,
  kCallProcesses,
  kCallGroup,
  kCallForeground,
  kCallHalt,
  kCallCount
};

enum OpenFlags { kOpenRead = 1, kOpenWrite = 2, kOpenCreate = 4, kOpenTruncate = 8, kOpenAppend = 16 };

enum InodeType { kInodeFree, kInodeFile, kInodeDirectory, kInodeDevice };

enum {
  kTicksPerSecond = 100,
  kMaxName = 27,  // bytes in a name, without the closing zero
  kMaxPath = 256,
  kMaxArguments = 32,
  kMaxOpenFiles = 16,
  kMaxProcesses = 64,
  kStatusKilled = -1,  // what wait() reports for a process that was killed or faulted
  kVectorSystemCall = 0x80
};

struct FileInfo {
  uint32_t inode;
  uint16_t type;  // enum InodeType
  uint16_t links;
  uint32_t size;
};

struct DirectoryEntry {
  uint32_t inode;  // 0: the slot is free
  char name[kMaxName + 1];
};

struct ProcessInfo {
  int pid;
  int parent;
  char state[9];
  char name[16];
  uint8_t processor;
  uint32_t ticks;  // timer ticks that found it running
  uint32_t pages;  // of user memory, shared ones included
};
