/* Who sets the accessed and dirty bits, and when: a read or a fetch sets A in the directory entry and the table entry; a write sets D in the table entry only;
   an access that faults (not present, not allowed) sets neither D nor anything in an entry that is not present; a write that CR0.WP forbids
   leaves D clear, without WP it is set at CPL 0; the processor's own accesses (a descriptor's accessed bit, the stack of an interrupt) do it
   too; a bit that software clears is set again after INVLPG. SDM Vol. 3A, "Accessed and Dirty Flags", "Access Rights".

   Prints the low three digits of entries: fresh directory and table entry; after a read; after a fetch of another page; after a write; a refused write (user
   page, WP) and the fault; without WP; the table entry behind INVLPG and a read with A cleared; the page of a descriptor that is loaded.

   Expect: 007 003 027 023 023 063 0e:0003 021 061 023 063 */
.include "tiny.inc"
.include "paging.inc"
.section .text
.macro show address
  mov \address, %eax
  print_hex %eax, 3
  print_space
.endm
.macro entry page
  show kHighTable+4*\page
.endm
main:
  movl $0x00cf9200, kFrame + 0x3c     /* a descriptor that has not been used, for later */
  movl $0x0000ffff, kFrame + 0x38
  movb $0xc3, kFrame + 0x1000         /* ret */
  paging_on
  map 0, kFrame | 3
  map 1, (kFrame + 0x1000) | 3
  map 2, (kFrame + 0x2000) | 1
  show kDirectory+4
  entry 0
  mov kHigh, %al
  show kDirectory+4
  entry 0
  mov $kHigh + 0x1000, %eax
  call *%eax
  entry 1
  mov %al, kHigh + 1
  entry 0
  try
  mov %al, kHigh + 0x2000
  tried
  andl $~0x20, kHighTable + 8
  invlpg kHigh + 0x2000
  mov kHigh + 0x2000, %al
  entry 2
  mov %cr0, %eax
  and $~0x10000, %eax
  mov %eax, %cr0
  mov %al, kHigh + 0x2000
  entry 2
  andl $~0x60, kHighTable
  invlpg kHigh
  mov kHigh, %al
  entry 0
  sgdt register
  mov $gdt, %esi                      /* the same descriptors in the page */
  mov $kHigh, %edi
  mov $kFree / 4, %ecx
  rep movsl
  andl $~0x60, kHighTable
  invlpg kHigh
  movl $kHigh, register + 2
  lgdt register
  mov $kFree, %eax
  mov %eax, %fs
  entry 0
  lgdt gdt_register
  ret
.section .data
register: .word 0, 0, 0
