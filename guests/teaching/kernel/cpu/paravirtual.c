#include "cpu/paravirtual.h"

#include <stddef.h>

#include "cpu/processors.h"
#include "cpu/x86.h"
#include "memory/address_space.h"
#include "memory/page_allocator.h"

#ifdef PANE_PARAVIRTUAL

#include "devices/print.h"
#include "vitrine/hypercalls.h"

enum { kMostWaiting = 64, kCpuidHypervisor = 1u << 31 };

static bool asking;  // there is a monitor that answers
static struct VitrinePageUpdate updates[kMostWaiting];
static uint32_t waiting;

// One page a processor: what else lies in it would be lost.
static union {
  struct VitrineSharedPage page;
  char bytes[kPageSize];
} shared_pages[kMaxCpus] __attribute__((aligned(kPageSize)));

static int call(uint32_t number, uint32_t first, uint32_t second, uint32_t third) {
  int answer;
  __asm__ volatile("vmcall" : "=a"(answer), "+c"(second), "+d"(third) : "a"(number), "b"(first) : "memory");
  return answer;
}

static void cpuid(uint32_t leaf, uint32_t registers[4]) {
  __asm__ volatile("cpuid"
                   : "=a"(registers[0]), "=b"(registers[1]), "=c"(registers[2]), "=d"(registers[3])
                   : "a"(leaf), "c"(0));
}

void paravirtual_init(void) {
  const uint32_t wanted = (1u << VITRINE_CALL_COUNT) - 1;
  uint32_t r[4];
  cpuid(1, r);
  if (!(r[2] & kCpuidHypervisor)) return;
  cpuid(VITRINE_CPUID_SIGNATURE, r);
  bool known =
      r[1] == VITRINE_SIGNATURE_EBX && r[2] == VITRINE_SIGNATURE_ECX && r[3] == VITRINE_SIGNATURE_EDX;
  if (!known || r[0] < VITRINE_CPUID_CALLS) return;
  cpuid(VITRINE_CPUID_CALLS, r);
  asking = r[0] == VITRINE_CALLS_VERSION && (r[1] & wanted) == wanted;
}

void paravirtual_init_cpu(struct Cpu* cpu) {
  if (!asking) return;
  if (call(VITRINE_CALL_SHARE, physical_of(&shared_pages[cpu->index]), 0, 0) != 0)
    panic("the monitor does not take the shared page");
  if (cpu->index == 0) note("paravirtual: asking the monitor\n");
}

void switch_page_table(uint32_t physical) {
  if (asking && call(VITRINE_CALL_SWITCH, physical, 0, 0) == 0) return;
  write_cr3(physical);
}

void wait_for_interrupt(void) {
  if (!asking) {
    halt_until_interrupt();
    return;
  }
  call(VITRINE_CALL_HALT, 0, 0, 0);
  shared_pages[this_cpu()->index].page.enabled = 0;
}

void interrupts_for_user(void) {
  if (!asking) return;
  struct VitrineSharedPage* page = &shared_pages[this_cpu()->index].page;
  if (page->enabled) return;
  page->enabled = 1;
  if (page->pending) call(VITRINE_CALL_INTERRUPTS, 0, 0, 0);
}

void change_page(uint32_t* entry, uint32_t value, uint32_t address) {
  if (!asking) {
    *entry = value;
    invalidate_page(address);
    return;
  }
  if (waiting == kMostWaiting) finish_page_changes();
  updates[waiting++] = (struct VitrinePageUpdate){(uint32_t)entry, address | VITRINE_UPDATE_FORGET, value};
}

void finish_page_changes(void) {
  if (waiting == 0) return;
  if (call(VITRINE_CALL_PAGE_TABLES, (uint32_t)updates, waiting, VITRINE_FORGET_NOTHING) != 0)
    panic("the monitor does not change the page table");
  waiting = 0;
}

bool monitor_write(const char* text, int size) {
  return asking && call(VITRINE_CALL_CONSOLE, (uint32_t)text, size, 0) == 0;
}

bool monitor_clock(uint64_t* nanoseconds) {
  if (!asking) return false;
  int answer;
  uint32_t low, high;
  __asm__ volatile("vmcall" : "=a"(answer), "=c"(low), "=d"(high) : "a"(VITRINE_CALL_CLOCK));
  *nanoseconds = (uint64_t)high << 32 | low;
  return answer == 0;
}

#else

void paravirtual_init(void) {}
void paravirtual_init_cpu(struct Cpu* cpu) {}
void interrupts_for_user(void) {}

void switch_page_table(uint32_t physical) {
  write_cr3(physical);
}

void wait_for_interrupt(void) {
  halt_until_interrupt();
}

void change_page(uint32_t* entry, uint32_t value, uint32_t address) {
  *entry = value;
  invalidate_page(address);
}

void finish_page_changes(void) {}

bool monitor_write(const char* text, int size) {
  return false;
}

bool monitor_clock(uint64_t* nanoseconds) {
  return false;
}

#endif
