// How control enters the kernel: interrupts, faults and system calls, all through handle_trap().
#pragma once

#include <stdint.h>

enum {
  kVectorPageFault = 14,
  kVectorIrq0 = 0x20,
  kVectorTimer = kVectorIrq0,
  kVectorPoke = 0xf0,
  kVectorSpurious = 0xff
};

enum Irq { kIrqTimer = 0, kIrqKeyboard = 1, kIrqSerial = 4, kIrqDisk = 14, kIrqCount = 16 };

// What the processor and vectors.S push on the kernel's stack, lowest address first.
struct TrapFrame {
  uint32_t edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;  // pusha
  uint32_t gs, fs, es, ds;
  uint32_t vector, error;
  uint32_t eip, cs, eflags;
  uint32_t esp, ss;  // only when it came from user mode
};

void interrupts_init(void);              // the table of vectors
void interrupts_init_controllers(void);  // 8259 or APIC
void interrupts_load(void);              // the table, on another processor

typedef void IrqHandler(void);
void interrupts_attach(enum Irq irq, IrqHandler* handler);
