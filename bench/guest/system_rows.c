// What only an operating system does: ports, page table changes, code that is written and run again.
#include "rows.h"

enum { kPit = 0x40, kFlushedPages = 64, kPage = 4096 };

// The interval timer's counter: a device that must compute something for each access.
uint32_t port_reads(uint32_t times) {
  for (uint32_t i = 0; i < times; ++i) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)kPit));
  }
  return times;
}

// What a change of process costs: CR3 is loaded, then every page in use is walked to again.
uint32_t tlb_flushes(uint32_t times) {
  volatile uint32_t* const memory = (volatile uint32_t*)0x2000000;
  uint32_t sum = 0;
  for (uint32_t page = 0; page < kFlushedPages; ++page) memory[page * kPage / 4] = page;
  while (times-- > 0) {
    uint32_t directory;
    __asm__ volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(directory) : : "memory");
    for (uint32_t page = 0; page < kFlushedPages; page += 4) sum += memory[page * kPage / 4];
  }
  return sum;
}

// Writes "mov $N, %eax; ret" and calls it, each time with another N.
uint32_t rewritten_code(uint32_t times) {
  static uint8_t code[kPage] __attribute__((aligned(4096)));
  uint32_t sum = 0;
  for (uint32_t i = 0; i < times; ++i) {
    volatile uint8_t* const at = code + i % 8 * 64;
    const uint32_t number = i * 2654435761u;
    at[0] = 0xb8;
    for (int byte = 0; byte < 4; ++byte) at[1 + byte] = (uint8_t)(number >> (8 * byte));
    at[5] = 0xc3;
    uint32_t (*function)(void) = (uint32_t(*)(void))(uintptr_t)at;
    __asm__ volatile("" : "+r"(function) : : "memory");
    sum += function();
  }
  return sum;
}
