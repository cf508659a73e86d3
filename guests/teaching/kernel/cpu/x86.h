// Instructions that C has no words for.
#pragma once

#include <stdint.h>

static inline uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value) {
  __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void in16_repeated(uint16_t port, void* buffer, uint32_t count) {
  __asm__ volatile("rep insw" : "+D"(buffer), "+c"(count) : "d"(port) : "memory");
}

static inline void out16_repeated(uint16_t port, const void* buffer, uint32_t count) {
  __asm__ volatile("rep outsw" : "+S"(buffer), "+c"(count) : "d"(port) : "memory");
}

static inline uint32_t read_cr2(void) {
  uint32_t value;
  __asm__ volatile("mov %%cr2, %0" : "=r"(value));
  return value;
}

static inline uint32_t read_cr3(void) {
  uint32_t value;
  __asm__ volatile("mov %%cr3, %0" : "=r"(value));
  return value;
}

static inline void write_cr3(uint32_t value) {
  __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline void invalidate_page(uint32_t address) {
  __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void disable_interrupts(void) {
  __asm__ volatile("cli" : : : "memory");
}

// STI takes effect after the next instruction, so that no interrupt can slip in before HLT.
static inline void halt_until_interrupt(void) {
  __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void pause(void) {
  __asm__ volatile("pause" : : : "memory");
}
