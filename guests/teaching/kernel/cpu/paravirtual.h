// What a kernel does that costs a virtual machine most, done by asking the machine (docs/hypercalls.md). Only
// in pane-pv.elf, and there only if CPUID says that the machine can be asked; otherwise as on any PC. Compare
// the two halves of each function in paravirtual.c.
//
// The kernel runs with interrupts off. In pane.elf that means EFLAGS.IF; asking, it means IF or the flag in
// the page that each processor shares with the monitor, which costs a store instead of CLI. So IF alone does
// not say whether interrupts are on, and whoever goes to user mode calls interrupts_for_user().
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct Cpu;

void paravirtual_init(void);                 // looks for the monitor; before anything else here
void paravirtual_init_cpu(struct Cpu* cpu);  // each processor, for itself
void switch_page_table(uint32_t physical);   // CR3
void wait_for_interrupt(void);               // interrupts are on meanwhile, and off before and after
void interrupts_for_user(void);

// A change of a page-table entry and INVLPG of `address`; both may wait for finish_page_changes(). (Where one
// load of CR3 forgets all pages at once, as after fork(), plain stores and that are faster: see
// docs/hypercalls.md.)
void change_page(uint32_t* entry, uint32_t value, uint32_t address);
void finish_page_changes(void);

bool monitor_write(const char* text, int size);  // to the console; false: there is nobody to ask
bool monitor_clock(uint64_t* nanoseconds);
