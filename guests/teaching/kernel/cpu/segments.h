// Segments are flat: they only carry the privilege level. Order as SYSENTER would want it.
#pragma once

#include <stdint.h>

enum {
  kKernelCode = 0x08,
  kKernelData = 0x10,
  kUserCode = 0x18 | 3,
  kUserData = 0x20 | 3,
  kTaskState = 0x28,
  kCpuData = 0x30,  // GS in the kernel: the processor's struct Cpu
  kGdtEntries = 7
};

// SDM Vol. 3A, "Task-State Segment (TSS)". Only the kernel's stack is used of it.
struct TaskState {
  uint32_t link;
  uint32_t esp0;
  uint32_t ss0;
  uint32_t unused[22];
  uint16_t trap;
  uint16_t io_map;  // beyond the segment: user programs may use no port
};

struct Cpu;
void segments_load(struct Cpu* cpu);
