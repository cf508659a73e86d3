// Each system call as a C function.
#include "user/library/pane.h"

static int call(int number, uint32_t a, uint32_t b, uint32_t c) {
  int answer;
  __asm__ volatile("int %1"
                   : "=a"(answer)
                   : "i"(kVectorSystemCall), "a"(number), "b"(a), "c"(b), "d"(c)
                   : "memory");
  return answer;
}

void exit(int status) {
  call(kCallExit, (uint32_t)status, 0, 0);
  __builtin_unreachable();
}

void halt(void) {
  call(kCallHalt, 0, 0, 0);
  __builtin_unreachable();
}

int fork(void) {
  return call(kCallFork, 0, 0, 0);
}
int exec(const char* path, char* const* arguments) {
  return call(kCallExec, (uint32_t)path, (uint32_t)arguments, 0);
}
int wait(int* status) {
  return call(kCallWait, (uint32_t)status, 0, 0);
}
int kill(int pid) {
  return call(kCallKill, (uint32_t)pid, 0, 0);
}
int getpid(void) {
  return call(kCallGetPid, 0, 0, 0);
}
int yield(void) {
  return call(kCallYield, 0, 0, 0);
}
int sleep(int duration) {
  return call(kCallSleep, (uint32_t)duration, 0, 0);
}
int uptime(void) {
  return call(kCallUptime, 0, 0, 0);
}
void* sbrk(int bytes) {
  return (void*)call(kCallSbrk, (uint32_t)bytes, 0, 0);
}
int pipe(int ends[2]) {
  return call(kCallPipe, (uint32_t)ends, 0, 0);
}
int dup(int file) {
  return call(kCallDup, (uint32_t)file, 0, 0);
}
int open(const char* path, int flags) {
  return call(kCallOpen, (uint32_t)path, (uint32_t)flags, 0);
}
int close(int file) {
  return call(kCallClose, (uint32_t)file, 0, 0);
}
int read(int file, void* to, int size) {
  return call(kCallRead, (uint32_t)file, (uint32_t)to, (uint32_t)size);
}
int write(int file, const void* from, int size) {
  return call(kCallWrite, (uint32_t)file, (uint32_t)from, (uint32_t)size);
}
int unlink(const char* path) {
  return call(kCallUnlink, (uint32_t)path, 0, 0);
}
int mkdir(const char* path) {
  return call(kCallMkdir, (uint32_t)path, 0, 0);
}
int chdir(const char* path) {
  return call(kCallChdir, (uint32_t)path, 0, 0);
}
int fstat(int file, struct FileInfo* information) {
  return call(kCallFstat, (uint32_t)file, (uint32_t)information, 0);
}
int readdir(int file, struct DirectoryEntry* entry) {
  return call(kCallReaddir, (uint32_t)file, (uint32_t)entry, 0);
}
int processes(struct ProcessInfo* rows, int count) {
  return call(kCallProcesses, (uint32_t)rows, (uint32_t)count, 0);
}
int set_group(int group) {
  return call(kCallGroup, (uint32_t)group, 0, 0);
}
int foreground(int group) {
  return call(kCallForeground, (uint32_t)group, 0, 0);
}
