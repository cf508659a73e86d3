// The processors of the machine, and what each needs for itself. Segment GS points a processor to its
// own struct Cpu while it is in the kernel.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cpu/segments.h"
#include "process/process.h"

enum { kMaxCpus = 8 };

struct Cpu {
  struct Cpu* self;  // first, for this_cpu()
  int index;
  uint8_t apic_id;
  volatile bool started;
  struct Process* process;  // what it runs now; &idle if nothing
  struct Process idle;      // its own first context, on the stack it booted with
  struct TaskState task_state;
  uint64_t gdt[kGdtEntries];
};

extern struct Cpu cpus[kMaxCpus];
extern int cpu_count;
extern bool apic_in_use;  // local and I/O APICs, instead of the 8259s and the 8254's interrupt

static inline struct Cpu* this_cpu(void) {
  struct Cpu* cpu;
  __asm__ volatile("movl %%gs:0, %0" : "=r"(cpu));
  return cpu;
}

void processors_init_first(void);
void processors_find(void);
void processors_start_others(void);
