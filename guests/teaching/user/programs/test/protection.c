// The test suite: what a program may not do.
#include "user/programs/test/suite.h"

static void read_null(void) {
  (void)*(volatile int*)0;
}
static void write_code(void) {
  *(volatile int*)kTextStart = 1;
}
static void read_kernel(void) {
  (void)*(volatile int*)(kKernelBase + 0x100000);
}
static void write_kernel(void) {
  *(volatile int*)(kKernelBase + 0x100000) = 0;
}
static void write_apic(void) {
  *(volatile int*)0xfee000b0 = 0;
}
static void beyond_heap(void) {
  *(volatile char*)((char*)sbrk(0) + 2 * kPage) = 1;
}
static void endless_stack(void) {
  recurse(2000);
}
static void jump_to_kernel(void) {
  ((Function*)0xc0100010)();
}
static void divide(void) {
  __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" : : : "eax", "ecx", "edx");
}
static void undefined(void) {
  __asm__ volatile("ud2");
}
static void no_interrupts(void) {
  __asm__ volatile("cli");
}
static void stop_machine(void) {
  __asm__ volatile("hlt");
}
static void use_port(void) {
  __asm__ volatile("inb $0x64, %%al" : : : "eax");
}
static void load_page_table(void) {
  __asm__ volatile("mov %0, %%cr3" : : "r"(0));
}
static void fake_interrupt(void) {
  __asm__ volatile("int $0x20");
}
static void fake_page_fault(void) {
  __asm__ volatile("int $14");
}
static void break_point(void) {
  __asm__ volatile("int3");
}
static void single_step(void) {
  __asm__ volatile("pushf; orl $0x100, (%%esp); popf; nop; nop" : : : "memory");
}
static void kernel_segment(void) {
  __asm__ volatile("mov %0, %%ds" : : "r"(0x10));
}
static void cpu_segment(void) {
  __asm__ volatile("mov %0, %%gs; mov %%gs:0, %0" : : "r"(0x30));
}
static void far_jump(void) {
  __asm__ volatile("ljmp $0x08, $0xc0100010");
}
static void floating_point(void) {
  __asm__ volatile("fldz");
}

void test_protection(void) {
  Function* const crimes[] = {read_null,       write_code,     read_kernel, write_kernel,   write_apic,
                              beyond_heap,     endless_stack,  divide,      jump_to_kernel, undefined,
                              no_interrupts,   stop_machine,   use_port,    far_jump,       fake_interrupt,
                              load_page_table, kernel_segment, cpu_segment, break_point,    single_step,
                              floating_point,  fake_page_fault};
  for (unsigned i = 0; i < sizeof crimes / sizeof *crimes; ++i) {
    if (status_of(crimes[i]) != kStatusKilled) fail("  crime %u went unpunished\n", i);
  }
}

// The interrupt flag and the privilege level are not for user mode to change with POPF.
void test_flags(void) {
  uint32_t flags;
  __asm__ volatile("pushf; andl $~0x200, (%%esp); orl $0x3000, (%%esp); popf; pushf; pop %0"
                   : "=r"(flags)
                   :
                   : "memory", "cc");
  EXPECT((flags & 0x3200) == 0x200);
}
