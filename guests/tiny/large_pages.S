/* 4 MiB pages (CR4.PSE): one directory entry, accessed and dirty bits in it, PS ignored while PSE is clear (the entry then names a table); a bit
   that must be 0 (bit 21) is a page fault with RSVD. SDM Vol. 3A, "32-Bit Paging", table 4-4, "Page-Fault Exceptions".

   Prints: a word read through the page, the entry's low bits after a read and after a write, the fault of the reserved bit, then CR2.

   TCG: leaves P clear in the error code of a reserved bit
   Expect: cafe 0a3 0e3 0e:0009 00c01234 */
.include "tiny.inc"
.include "paging.inc"
.section .text
main:
  movw $0xcafe, 0x401234
  paging_on
  mov %cr4, %eax
  or $0x10, %eax
  mov %eax, %cr4
  movl $0x400083, kDirectory + 8      /* 800000h maps onto 400000h */
  mov 0x801234, %ax
  print_hex %eax, 4
  print_space
  mov kDirectory + 8, %eax
  print_hex %eax, 3
  print_space
  mov %eax, 0x801234
  mov kDirectory + 8, %eax
  print_hex %eax, 3
  print_space
  movl $0x600083, kDirectory + 12
  try
  mov 0xc01234, %eax
  tried
  mov %cr2, %eax
  print_hex %eax, 8
  ret
