/* Page tables by the monitor's calls: each update is as if the kernel had stored the entry and executed INVLPG where it says so; the call's
   last argument is a load of CR3, or a flush of global pages, too. Arguments in memory are linear addresses. docs/hypercalls.md.

   Prints: two pages mapped by one call; answer and count; both changed, the second not said to be forgotten, then forgotten at the end of a call
   without updates; a global page through both kinds of forgetting; write protection by a call; an entry that cannot be written: answer and count;
   an array that cannot be read; another page table by the switch, and back; a console that is not there.

   Expect: 11 22 0 0002 22 0 33 0 44 0 33 0 44 0e:0003 e3 0001 e3 0000 0 55 0 44 e4 */
#include "vitrine/hypercalls.h"
.include "tiny.inc"
.include "paging.inc"
.include "hypercalls.inc"
.section .text
.set kOther, 0x220000       /* another directory, and its table of the second 4 MiB */

.macro show page
  try
  mov kHigh + 4096 * \page, %al
  print_hex %eax, 2
  print_space
  tried
.endm
.macro update which, page, entry, flags=0
  movl $(kHighTable + 4 * (\page)), updates + 16 * \which
  movl $(kHigh + 4096 * (\page) + \flags), updates + 16 * \which + 4
  movl $(\entry), updates + 16 * \which + 8
  movl $0, updates + 16 * \which + 12
.endm
.macro update_pages count, afterwards
  mov $updates, %ebx
  mov $\count, %ecx
  mov $\afterwards, %edx
  hypercall VITRINE_CALL_PAGE_TABLES
.endm
.macro count
  print_hex %ecx, 4
  print_space
.endm
main:
  movb $0x11, kFrame
  movb $0x22, kFrame + 0x1000
  movb $0x33, kFrame + 0x2000
  movb $0x44, kFrame + 0x3000
  movb $0x55, kFrame + 0x4000
  paging_on

  update 0, 0, kFrame + 1
  update 1, 1, kFrame + 0x1001
  update_pages 2, VITRINE_FORGET_NOTHING
  mov %eax, %esi
  mov %ecx, %edi
  show 0
  show 1
  mov %esi, %eax
  call print_answer
  mov %edi, %ecx
  count

  update 0, 0, kFrame + 0x1001, VITRINE_UPDATE_FORGET
  update 1, 1, kFrame + 0x2001
  update_pages 2, VITRINE_FORGET_NOTHING
  show 0
  update_pages 0, VITRINE_FORGET_NON_GLOBAL
  call print_answer
  show 1

  mov %cr4, %eax            /* a global page */
  or $0x80, %eax
  mov %eax, %cr4
  update 0, 2, kFrame + 0x2101
  update_pages 1, VITRINE_FORGET_NOTHING
  call print_answer
  mov kHigh + 0x2000, %bl
  update 0, 2, kFrame + 0x3101, VITRINE_UPDATE_FORGET
  update_pages 1, VITRINE_FORGET_NOTHING
  show 2
  update 0, 2, kFrame + 0x2101
  update_pages 1, VITRINE_FORGET_ALL
  call print_answer
  show 2

  update 0, 3, kFrame + 0x3003
  update_pages 1, VITRINE_FORGET_NOTHING
  call print_answer
  mov %al, kHigh + 0x3001
  update 0, 3, kFrame + 0x3001, VITRINE_UPDATE_FORGET
  update_pages 1, VITRINE_FORGET_NOTHING
  show 3
  try
  mov %al, kHigh + 0x3001
  tried

  update 0, 4, kFrame + 1, VITRINE_UPDATE_FORGET
  movl $kHigh + 0x3000, updates + 16     /* read-only */
  movl $0, updates + 20
  update_pages 3, VITRINE_FORGET_NOTHING
  mov %ecx, %edi
  call print_answer
  mov %edi, %ecx
  count
  mov $(kHigh + 0x80000), %ebx
  mov $1, %ecx
  hypercall VITRINE_CALL_PAGE_TABLES
  mov %ecx, %edi
  call print_answer
  mov %edi, %ecx
  count

  movl $(kLowTable + 7), kOther
  movl $(kOther + 0x1007), kOther + 4
  movl $(kFrame + 0x4001), kOther + 0x1000 + 4 * 3
  mov $kOther, %ebx
  call_and_print VITRINE_CALL_SWITCH
  show 3
  mov $kDirectory, %ebx
  call_and_print VITRINE_CALL_SWITCH
  show 3
  mov $updates, %ebx
  mov $8, %ecx
  call_and_print VITRINE_CALL_CONSOLE
  ret
.section .data
.align 16
updates: .fill 64, 1, 0
