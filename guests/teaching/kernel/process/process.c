// The life of a process: fork, exit, wait, kill.
#include "process/process.h"

#include <stddef.h>

#include "boot/boot_info.h"
#include "common/strings.h"
#include "cpu/interrupts.h"
#include "cpu/kernel_lock.h"
#include "cpu/paravirtual.h"
#include "cpu/processors.h"
#include "devices/power.h"
#include "devices/print.h"
#include "files/file.h"
#include "files/inode.h"
#include "memory/address_space.h"
#include "memory/page_allocator.h"
#include "process/scheduler.h"

struct Process processes[kMaxProcesses];

static int next_pid = 1;
static struct Process* first_process;

extern char process_entry[];  // context_switch.S
void process_begin(void);

struct Process* current_process(void) {
  return this_cpu()->process;
}

struct Process* process_find(int pid) {
  for (int i = 0; i < kMaxProcesses; ++i) {
    if (processes[i].state != kUnused && processes[i].pid == pid) return &processes[i];
  }
  return NULL;
}

// A process whose kernel stack is ready: switch_context() will return to process_entry, which calls
// process_begin() and leaves for user mode through the frame.
static struct Process* allocate(void) {
  struct Process* process = processes;
  while (process < processes + kMaxProcesses && process->state != kUnused) ++process;
  if (process == processes + kMaxProcesses) return NULL;
  memset(process, 0, sizeof *process);
  process->kernel_stack = page_allocate();
  if (!process->kernel_stack) return NULL;
  *(uint32_t*)process->kernel_stack = kStackGuard;
  process->frame = (struct TrapFrame*)(process->kernel_stack + kPageSize) - 1;
  process->kernel_esp = (uint32_t*)process->frame - 5;
  process->kernel_esp[4] = (uint32_t)process_entry;  // below it: EDI, ESI, EBX, EBP
  process->pid = next_pid++;
  process->state = kSleeping;  // not yet complete
  return process;
}

static void discard(struct Process* process) {
  page_release(process->kernel_stack);
  process->state = kUnused;
}

static void start_init(void) {
  inode_mount();
  file_system_enter();
  current_process()->working_directory = inode_get(kRootInode);
  file_system_leave();
  for (int i = 0; i < 3; ++i) {
    current_process()->files[i] = file_open("/dev/console", kOpenRead | kOpenWrite);
  }
  static char path[kMaxPath] = "/bin/init";
  boot_option("init", path, sizeof path);
  // Init gets the kernel's options as its arguments.
  static char words[kMaxOptions];
  const char* arguments[kMaxArguments] = {path};
  copy_string(words, boot_info.options, sizeof words);
  int count = 1;
  for (char* cursor = words; *cursor && count < kMaxArguments - 1;) {
    if (*cursor != ' ') arguments[count++] = cursor;
    while (*cursor && *cursor != ' ') ++cursor;
    while (*cursor == ' ') *cursor++ = 0;
  }
  if (process_exec(path, arguments) < 0) panic("cannot run %s", path);
}

void process_begin(void) {
  if (current_process() == first_process && !first_process->working_directory) start_init();
  kernel_unlock();
  interrupts_for_user();
}

void process_create_first(void) {
  first_process = allocate();
  if (!first_process) panic("no memory for the first process");
  first_process->directory = kernel_directory;
  first_process->state = kReady;
}

int process_fork(void) {
  struct Process* parent = current_process();
  struct Process* child = allocate();
  if (!child) return -1;
  child->directory = address_space_copy(parent->directory);
  if (!child->directory) {
    discard(child);
    return -1;
  }
  *child->frame = *parent->frame;
  child->frame->eax = 0;
  child->heap_start = parent->heap_start;
  child->heap_end = parent->heap_end;
  child->parent = parent;
  child->group = parent->group;
  for (int i = 0; i < kMaxOpenFiles; ++i) child->files[i] = file_share(parent->files[i]);
  child->working_directory = inode_share(parent->working_directory);
  copy_string(child->name, parent->name, sizeof child->name);
  make_ready(child);
  return child->pid;
}

static void give_children_to_init(struct Process* process) {
  for (int i = 0; i < kMaxProcesses; ++i) {
    if (processes[i].state == kUnused || processes[i].parent != process) continue;
    processes[i].parent = first_process;
    wake(first_process);
  }
}

void process_exit(int status) {
  struct Process* process = current_process();
  for (int i = 0; i < kMaxOpenFiles; ++i) {
    file_close(process->files[i]);
    process->files[i] = NULL;
  }
  inode_release(process->working_directory);
  if (process == first_process) {
    note("init is done (status %d)\n", status);
    power_off();
  }
  uint32_t* directory = process->directory;
  process->directory = kernel_directory;
  switch_page_table(physical_of(kernel_directory));
  address_space_free(directory);

  give_children_to_init(process);
  wake(process->parent);
  process->exit_status = status;
  process->state = kZombie;  // wait() takes the kernel stack, once we have left it
  schedule();
  panic("a zombie runs");
}

static int bury(struct Process* zombie, int* status) {
  *status = zombie->exit_status;
  int pid = zombie->pid;
  discard(zombie);
  return pid;
}

int process_wait(int* status) {
  struct Process* process = current_process();
  while (!process->killed) {
    bool has_children = false;
    for (int i = 0; i < kMaxProcesses; ++i) {
      if (processes[i].state == kUnused || processes[i].parent != process) continue;
      if (processes[i].state == kZombie) return bury(&processes[i], status);
      has_children = true;
    }
    if (!has_children) return -1;
    sleep_on(process);
  }
  return -1;
}

// The process notices when it next returns to user mode; every sleep checks `killed`, too.
void process_kill(struct Process* process) {
  process->killed = true;
  if (process->state == kSleeping) make_ready(process);
}

int process_grow(int bytes) {
  struct Process* process = current_process();
  uint32_t old_end = process->heap_end;
  uint32_t new_end = old_end + (uint32_t)bytes;
  if (bytes > 0 && (new_end < old_end || new_end > kStackLimit)) return -1;
  if (bytes < 0 && (new_end > old_end || new_end < process->heap_start)) return -1;
  process->heap_end = new_end;  // new pages come with the first touch
  if (bytes < 0) {
    uint32_t first_gone = (new_end + kPageSize - 1) & kPageAddress;
    address_space_remove(process->directory, first_gone, old_end);
  }
  return (int)old_end;
}
