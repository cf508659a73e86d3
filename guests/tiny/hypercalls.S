/* The monitor's calls are found by CPUID, answer, and refuse what makes no sense. docs/hypercalls.md.

   Prints: signature and highest leaf, version and calls; call 0; no such call; page tables: nothing to do, too many, a flag that is none, an
   entry that is not aligned; share: not a page, no memory; console: too long; the clock against RDTSC (1: between two of them).
   Then the same instruction at CPL 3, and in 16-bit code.

   Expect: VitrineVM 1 1 ff 1 e1 0 e2 e2 e2 0000 e3 e3 e2 1 06:0000 1 */
#include "vitrine/hypercalls.h"
.include "tiny.inc"
.include "hypercalls.inc"
.section .text
print_four:                 /* the characters of EAX, less NULs */
  mov $4, %ecx
1:test %al, %al
  jz 2f
  out %al, $0xe9
2:shr $8, %eax
  loop 1b
  ret
main:
  mov $VITRINE_CPUID_SIGNATURE, %eax
  cpuid
  mov %eax, %esi
  mov %ecx, %edi
  mov %ebx, %eax
  call print_four
  mov %edi, %eax
  call print_four
  mov %edx, %eax
  call print_four
  print_space
  sub $VITRINE_CPUID_SIGNATURE, %esi
  print_hex %esi, 1
  print_space
  mov $VITRINE_CPUID_CALLS, %eax
  cpuid
  print_hex %eax, 1
  print_space
  print_hex %ebx, 2
  print_space

  call_and_print VITRINE_CALL_NOTHING
  call_and_print VITRINE_CALL_COUNT
  mov $updates, %ebx
  xor %ecx, %ecx
  xor %edx, %edx
  call_and_print VITRINE_CALL_PAGE_TABLES
  mov $(VITRINE_MOST_UPDATES + 1), %ecx
  call_and_print VITRINE_CALL_PAGE_TABLES
  mov $1, %ecx
  mov $3, %edx
  call_and_print VITRINE_CALL_PAGE_TABLES
  mov $1, %ecx
  xor %edx, %edx
  call_and_print VITRINE_CALL_PAGE_TABLES
  print_hex %ecx, 4
  print_space
  mov $4, %ebx
  call_and_print VITRINE_CALL_SHARE
  mov $0xfffff000, %ebx
  call_and_print VITRINE_CALL_SHARE
  mov $(VITRINE_MOST_TEXT + 1), %ecx
  call_and_print VITRINE_CALL_CONSOLE

  rdtsc
  mov %eax, %esi
  hypercall VITRINE_CALL_CLOCK
  mov %ecx, %edi
  rdtsc
  sub %esi, %eax            /* from the first to the second */
  sub %esi, %edi            /* from the first to the call */
  cmp %eax, %edi
  setbe %cl
  movzx %cl, %ecx
  print_hex %ecx, 1
  print_space

  try
  go_user user
user:
  xor %eax, %eax
  vmcall
  tried

  set_segment kFree, 0, 0xffff, 0x9b, 0
  set_base kFree, sixteen
  xor %eax, %eax
  ljmp $kFree, $0
back:
  jmp print_answer
.align 16
sixteen:
.code16
  vmcall
  ljmpl $kCode0, $back
.code32
.section .data
.align 8
updates: .long 0x200001, 0
  .quad 0
