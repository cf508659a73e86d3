// Builds and loads a processor's descriptor table: SDM Vol. 3A, "Segment Descriptors".
#include "cpu/segments.h"

#include "cpu/processors.h"

enum {
  kCode = 0x9a,  // present, code, readable
  kData = 0x92,  // present, data, writable
  kTask = 0x89,  // present, 32-bit TSS, available
  kUser = 0x60,  // privilege level 3
  kPages = 0xc,  // limit in pages, 32-bit
  kBytes = 0x4   // limit in bytes, 32-bit
};

static uint64_t descriptor(const void* base_pointer, uint32_t limit, uint8_t access, uint8_t flags) {
  uint32_t base = (uint32_t)base_pointer;
  uint32_t low = (limit & 0xffff) | base << 16;
  uint32_t high = (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000);
  return (uint64_t)high << 32 | low;
}

void segments_load(struct Cpu* cpu) {
  cpu->gdt[kKernelCode / 8] = descriptor(0, 0xfffff, kCode, kPages);
  cpu->gdt[kKernelData / 8] = descriptor(0, 0xfffff, kData, kPages);
  cpu->gdt[kUserCode / 8] = descriptor(0, 0xfffff, kCode | kUser, kPages);
  cpu->gdt[kUserData / 8] = descriptor(0, 0xfffff, kData | kUser, kPages);
  cpu->gdt[kTaskState / 8] = descriptor(&cpu->task_state, sizeof cpu->task_state - 1, kTask, 0);
  cpu->gdt[kCpuData / 8] = descriptor(cpu, sizeof *cpu - 1, kData, kBytes);
  cpu->task_state.ss0 = kKernelData;
  cpu->task_state.io_map = sizeof cpu->task_state;

  struct {
    uint16_t limit;
    uint32_t base;
  } __attribute__((packed)) table = {sizeof cpu->gdt - 1, (uint32_t)cpu->gdt};
  __asm__ volatile(
      "lgdt %0\n"
      "ljmp %1, $1f\n"
      "1: mov %2, %%ds\n"
      "mov %2, %%es\n"
      "mov %2, %%ss\n"
      "mov %3, %%fs\n"
      "mov %4, %%gs\n"
      "lldt %w3\n"
      "ltr %w5"
      :
      : "m"(table), "i"(kKernelCode), "r"(kKernelData), "r"(0), "r"(kCpuData), "r"(kTaskState)
      : "memory");
}
