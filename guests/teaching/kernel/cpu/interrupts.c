#include "cpu/interrupts.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/abi.h"
#include "cpu/kernel_lock.h"
#include "cpu/local_apic.h"
#include "cpu/paravirtual.h"
#include "cpu/pic8259.h"
#include "cpu/processors.h"
#include "cpu/x86.h"
#include "devices/print.h"
#include "devices/timer.h"
#include "memory/address_space.h"
#include "process/scheduler.h"
#include "process/system_calls.h"

enum {
  kVectorSize = 16,
  kInterruptGate = 0x8e00,  // present; interrupts are off in the handler
  kUserGate = 0x6000,       // INT n is allowed in user mode
  kErrorWrite = 2
};

extern char trap_vectors[];
void handle_trap(struct TrapFrame* frame);

static uint64_t idt[256];
static IrqHandler* handlers[kIrqCount];

void interrupts_init(void) {
  for (int i = 0; i < 256; ++i) {
    uint32_t handler = (uint32_t)trap_vectors + i * kVectorSize;
    uint32_t low = kKernelCode << 16 | (handler & 0xffff);
    uint32_t high = (handler & 0xffff0000) | kInterruptGate | (i == kVectorSystemCall ? kUserGate : 0);
    idt[i] = (uint64_t)high << 32 | low;
  }
  interrupts_load();
}

void interrupts_load(void) {
  struct {
    uint16_t limit;
    uint32_t base;
  } __attribute__((packed)) table = {sizeof idt - 1, (uint32_t)idt};
  __asm__ volatile("lidt %0" : : "m"(table));
}

void interrupts_init_controllers(void) {
  pic_init();
  if (!apic_in_use) return;
  local_apic_init();
  io_apic_init();
}

void interrupts_attach(enum Irq irq, IrqHandler* handler) {
  handlers[irq] = handler;
  if (apic_in_use) {
    if (irq != kIrqTimer) io_apic_enable(irq, cpus[0].apic_id);  // the local timers tick instead
  } else {
    pic_enable(irq);
  }
}

static void handle_irq(int irq) {
  if (apic_in_use) {
    local_apic_end_interrupt();
  } else {
    pic_end_interrupt(irq);
  }
  if (handlers[irq]) handlers[irq]();
}

static void handle_fault(struct TrapFrame* frame) {
  struct Process* process = current_process();
  uint32_t address = frame->vector == kVectorPageFault ? read_cr2() : 0;
  if (frame->vector == kVectorPageFault) {
    enum Access access = frame->error & kErrorWrite ? kAccessWrite : kAccessRead;
    if (address_space_resolve(process, address, access)) return;
  }
  note("%s (%d): fault %d at %08x, address %08x: killed\n", process->name, process->pid, frame->vector,
       frame->eip, address);
  process->killed = true;
}

static void kernel_fault(const struct TrapFrame* frame) {
  panic("fault %d (error %x) in the kernel at %08x, cr2 %08x", frame->vector, frame->error, frame->eip,
        read_cr2());
}

void handle_trap(struct TrapFrame* frame) {
  bool from_user = frame->cs == kUserCode;
  if (kernel_lock_is_ours()) kernel_fault(frame);
  kernel_lock();

  uint32_t vector = frame->vector;
  if (vector == kVectorSystemCall && from_user) {
    frame->eax = (uint32_t)system_call(frame->eax, frame->ebx, frame->ecx, frame->edx);
  } else if (vector >= kVectorIrq0 && vector < kVectorIrq0 + kIrqCount) {
    handle_irq((int)(vector - kVectorIrq0));
  } else if (vector == kVectorPoke) {
    local_apic_end_interrupt();  // waking up from HLT was the purpose
  } else if (vector == kVectorSpurious) {
    // Nothing to end: SDM Vol. 3A, "Spurious Interrupt".
  } else if (from_user) {
    handle_fault(frame);
  } else {
    kernel_fault(frame);
  }

  if (from_user) {
    if (current_process()->killed) process_exit(kStatusKilled);
    if (vector == kVectorTimer) yield();
    if (current_process()->killed) process_exit(kStatusKilled);
  }
  kernel_unlock();
  if (from_user) interrupts_for_user();
}
