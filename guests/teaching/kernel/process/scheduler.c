// Round robin over the process table. The kernel lock is held across a switch and passes from the process
// that leaves to the one that comes: it belongs to the processor, not to the process. So nobody can start
// a process, or free its stack, before it has really left its processor.
#include "process/scheduler.h"

#include <stddef.h>

#include "cpu/kernel_lock.h"
#include "cpu/local_apic.h"
#include "cpu/paravirtual.h"
#include "cpu/processors.h"
#include "cpu/x86.h"
#include "devices/print.h"
#include "memory/address_space.h"
#include "memory/page_allocator.h"

void switch_context(uint32_t** old_esp, uint32_t* new_esp);

static int last_index;  // the process that was chosen last, on any processor

static struct Process* choose(void) {
  for (int i = 1; i <= kMaxProcesses; ++i) {
    struct Process* process = &processes[(last_index + i) % kMaxProcesses];
    if (process->state == kReady) {
      last_index = process - processes;
      return process;
    }
  }
  return NULL;
}

void schedule(void) {
  struct Cpu* cpu = this_cpu();
  struct Process* old = cpu->process;
  struct Process* next = choose();
  if (!next) next = &cpu->idle;
  if (next->state == kReady) next->state = kRunning;
  if (next == old) return;
  if (old->kernel_stack && *(uint32_t*)old->kernel_stack != kStackGuard) panic("kernel stack overflow");

  cpu->process = next;
  next->processor = cpu->index;
  cpu->task_state.esp0 = (uint32_t)next->kernel_stack + kPageSize;
  switch_page_table(physical_of(next->directory));
  switch_context(&old->kernel_esp, next->kernel_esp);
}

void yield(void) {
  current_process()->state = kReady;
  schedule();
}

void idle_loop(void) {
  for (;;) {
    schedule();
    kernel_unlock();
    wait_for_interrupt();
    kernel_lock();
  }
}

void sleep_on(const void* channel) {
  struct Process* process = current_process();
  process->channel = channel;
  process->state = kSleeping;
  schedule();
  process->channel = NULL;
}

void wake(const void* channel) {
  for (int i = 0; i < kMaxProcesses; ++i) {
    if (processes[i].state == kSleeping && processes[i].channel == channel) make_ready(&processes[i]);
  }
}

// If another processor has nothing to do, it should come and look.
void make_ready(struct Process* process) {
  process->state = kReady;
  for (int i = 0; i < cpu_count; ++i) {
    struct Cpu* cpu = &cpus[i];
    if (cpu == this_cpu() || !cpu->started || cpu->process != &cpu->idle) continue;
    local_apic_poke(cpu->apic_id);
    return;
  }
}
