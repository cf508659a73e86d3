// A kernel's operations, each the ordinary way and by a call of the monitor (docs/hypercalls.md).
#pragma once

#include <stdint.h>

#include "vitrine/hypercalls.h"

typedef void Operation(uint32_t times);

struct Row {
  const char* name;
  Operation* ordinary;
  Operation* call;
  uint32_t times;  // in one measurement
};

static inline void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline uint32_t in32(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline void out32(uint16_t port, uint32_t value) {
  __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint64_t time_stamp(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}
static inline uint32_t read_cr3(void) {
  uint32_t value;
  __asm__ volatile("mov %%cr3, %0" : "=r"(value));
  return value;
}
static inline void write_cr3(uint32_t value) {
  __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}
static inline int call(uint32_t number, uint32_t first, uint32_t second, uint32_t third) {
  int answer;
  __asm__ volatile("vmcall" : "=a"(answer), "+c"(second), "+d"(third) : "a"(number), "b"(first) : "memory");
  return answer;
}

extern volatile struct VitrineSharedPage* const shared_page;

extern const struct Row rows[];
extern const unsigned row_count;
void prepare_rows(void);  // after the page has been shared
void fail(const char* why);
