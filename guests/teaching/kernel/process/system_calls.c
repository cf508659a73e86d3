// Every call takes what user mode put in EBX, ECX, EDX, believes nothing of it, and answers -1 to what is
// wrong. user_bytes() and user_string() make pointers safe to use; nobody else can change the process's
// memory until the call is over.
#include "process/system_calls.h"

#include <stddef.h>

#include "common/strings.h"
#include "cpu/processors.h"
#include "devices/console.h"
#include "devices/power.h"
#include "devices/timer.h"
#include "files/directory.h"
#include "files/file.h"
#include "files/pipe.h"
#include "memory/address_space.h"
#include "process/process.h"
#include "process/scheduler.h"

static struct File* open_file(uint32_t number) {
  return number < kMaxOpenFiles ? current_process()->files[number] : NULL;
}

// The lowest free number, now standing for `file`. Gives the file back if there is none.
static int install(struct File* file) {
  struct Process* process = current_process();
  for (int i = 0; file && i < kMaxOpenFiles; ++i) {
    if (process->files[i]) continue;
    process->files[i] = file;
    return i;
  }
  file_close(file);
  return -1;
}

static int call_exit(uint32_t status, uint32_t b, uint32_t c) {
  process_exit((int)status);
}

static int call_fork(uint32_t a, uint32_t b, uint32_t c) {
  return process_fork();
}

static int call_exec(uint32_t path_address, uint32_t arguments_address, uint32_t c) {
  const char* path = user_string(path_address, kMaxPath);
  if (!path) return -1;
  const char* arguments[kMaxArguments + 1] = {NULL};
  for (int i = 0;; ++i) {
    uint32_t slot = arguments_address + 4 * i;
    if (i == kMaxArguments || !user_bytes(slot, 4, kAccessRead)) return -1;
    uint32_t argument = *(const uint32_t*)slot;
    if (argument == 0) break;
    arguments[i] = user_string(argument, 4096);
    if (!arguments[i]) return -1;
  }
  return process_exec(path, arguments);
}

static int call_wait(uint32_t status_address, uint32_t b, uint32_t c) {
  if (status_address && !user_bytes(status_address, sizeof(int), kAccessWrite)) return -1;
  int status = 0;
  int pid = process_wait(&status);
  if (pid > 0 && status_address) *(int*)status_address = status;
  return pid;
}

static int call_kill(uint32_t pid, uint32_t b, uint32_t c) {
  struct Process* process = process_find((int)pid);
  if (!process || process->state == kZombie) return -1;
  process_kill(process);
  return 0;
}

static int call_getpid(uint32_t a, uint32_t b, uint32_t c) {
  return current_process()->pid;
}

static int call_yield(uint32_t a, uint32_t b, uint32_t c) {
  yield();
  return 0;
}

static int call_sleep(uint32_t duration, uint32_t b, uint32_t c) {
  return timer_sleep(duration);
}

static int call_uptime(uint32_t a, uint32_t b, uint32_t c) {
  return (int)ticks;
}

static int call_sbrk(uint32_t bytes, uint32_t b, uint32_t c) {
  return process_grow((int)bytes);
}

static int call_pipe(uint32_t numbers_address, uint32_t b, uint32_t c) {
  if (!user_bytes(numbers_address, 2 * sizeof(int), kAccessWrite)) return -1;
  struct File* ends[2];
  if (!pipe_create(ends)) return -1;
  int* numbers = (int*)numbers_address;
  int reader = install(ends[0]);
  int writer = install(ends[1]);
  if (writer < 0) {
    if (reader >= 0) {
      current_process()->files[reader] = NULL;
      file_close(ends[0]);
    }
    return -1;
  }
  numbers[0] = reader;
  numbers[1] = writer;
  return 0;
}

static int call_dup(uint32_t number, uint32_t b, uint32_t c) {
  return install(file_share(open_file(number)));
}

static int call_open(uint32_t path_address, uint32_t flags, uint32_t c) {
  const char* path = user_string(path_address, kMaxPath);
  return path ? install(file_open(path, flags)) : -1;
}

static int call_close(uint32_t number, uint32_t b, uint32_t c) {
  struct File* file = open_file(number);
  if (!file) return -1;
  current_process()->files[number] = NULL;
  file_close(file);
  return 0;
}

static int call_read(uint32_t number, uint32_t address, uint32_t size) {
  struct File* file = open_file(number);
  if (!file || (int)size < 0 || !user_bytes(address, size, kAccessWrite)) return -1;
  return file_read(file, (char*)address, (int)size);
}

static int call_write(uint32_t number, uint32_t address, uint32_t size) {
  struct File* file = open_file(number);
  if (!file || (int)size < 0 || !user_bytes(address, size, kAccessRead)) return -1;
  return file_write(file, (const char*)address, (int)size);
}

static int call_unlink(uint32_t path_address, uint32_t b, uint32_t c) {
  const char* path = user_string(path_address, kMaxPath);
  return path ? directory_remove(path) : -1;
}

static int call_mkdir(uint32_t path_address, uint32_t b, uint32_t c) {
  const char* path = user_string(path_address, kMaxPath);
  return path ? directory_make(path) : -1;
}

static int call_chdir(uint32_t path_address, uint32_t b, uint32_t c) {
  const char* path = user_string(path_address, kMaxPath);
  return path ? directory_change(path) : -1;
}

static int call_fstat(uint32_t number, uint32_t address, uint32_t c) {
  struct File* file = open_file(number);
  if (!file || !user_bytes(address, sizeof(struct FileInfo), kAccessWrite)) return -1;
  return file_information(file, (struct FileInfo*)address);
}

static int call_readdir(uint32_t number, uint32_t address, uint32_t c) {
  struct File* file = open_file(number);
  if (!file || !user_bytes(address, sizeof(struct DirectoryEntry), kAccessWrite)) return -1;
  return file_next_entry(file, (struct DirectoryEntry*)address);
}

// Fills an array of at most `count` entries; answers how many.
static int call_processes(uint32_t address, uint32_t count, uint32_t c) {
  static const char* const names[] = {"unused", "ready", "running", "sleeping", "zombie"};
  if (count > kMaxProcesses) count = kMaxProcesses;
  struct ProcessInfo* info = (struct ProcessInfo*)address;
  if (!user_bytes(address, count * sizeof *info, kAccessWrite)) return -1;
  uint32_t filled = 0;
  for (int i = 0; i < kMaxProcesses && filled < count; ++i) {
    const struct Process* process = &processes[i];
    if (process->state == kUnused) continue;
    bool gone = process->state == kZombie;
    struct ProcessInfo* row = &info[filled++];
    *row = (struct ProcessInfo){.pid = process->pid,
                                .parent = process->parent ? process->parent->pid : 0,
                                .processor = (uint8_t)process->processor,
                                .ticks = process->ticks,
                                .pages = gone ? 0 : address_space_pages(process->directory)};
    copy_string(row->name, process->name, sizeof row->name);
    copy_string(row->state, names[process->state], sizeof row->state);
  }
  return (int)filled;
}

// The job that the process and its later children belong to.
static int call_group(uint32_t group, uint32_t b, uint32_t c) {
  current_process()->group = (int)group;
  return 0;
}

// Control-C kills the processes of this group; 0 is nobody.
static int call_foreground(uint32_t group, uint32_t b, uint32_t c) {
  console_set_foreground((int)group);
  return 0;
}

static int call_halt(uint32_t a, uint32_t b, uint32_t c) {
  power_off();
}

typedef int SystemCallFunction(uint32_t a, uint32_t b, uint32_t c);

static SystemCallFunction* const calls[kCallCount] = {
    [kCallExit] = call_exit,           [kCallFork] = call_fork,     [kCallExec] = call_exec,
    [kCallWait] = call_wait,           [kCallKill] = call_kill,     [kCallGetPid] = call_getpid,
    [kCallYield] = call_yield,         [kCallSleep] = call_sleep,   [kCallUptime] = call_uptime,
    [kCallSbrk] = call_sbrk,           [kCallPipe] = call_pipe,     [kCallDup] = call_dup,
    [kCallOpen] = call_open,           [kCallClose] = call_close,   [kCallRead] = call_read,
    [kCallWrite] = call_write,         [kCallUnlink] = call_unlink, [kCallMkdir] = call_mkdir,
    [kCallChdir] = call_chdir,         [kCallFstat] = call_fstat,   [kCallReaddir] = call_readdir,
    [kCallProcesses] = call_processes, [kCallGroup] = call_group,   [kCallForeground] = call_foreground,
    [kCallHalt] = call_halt,
};

int system_call(uint32_t number, uint32_t a, uint32_t b, uint32_t c) {
  return number < kCallCount ? calls[number](a, b, c) : -1;
}
