/* What software may do without INVLPG: make an entry present, or give it more rights, and use it at once. After INVLPG or a load of CR3 an entry
   made absent is absent; global ones (CR4.PGE) survive CR3 but not INVLPG or a change of PGE.
   SDM Vol. 3A, "Invalidation of TLBs and Paging-Structure Caches", "Optional Invalidation", "Global Pages".

   Expect: 11 0e:0000 22 33 0e:0000 0e:0000 44 0e:0000 44 0e:0000 22 */
.include "tiny.inc"
.include "paging.inc"
.macro show page
  try
  mov kHigh + 4096 * \page, %al
  print_hex %eax, 2
  print_space
  tried
.endm
.section .text
main:
  movb $0x11, kFrame
  movb $0x22, kFrame + 0x1000
  movb $0x44, kFrame + 0x2000
  paging_on
  map 0, kFrame | 1         /* was absent when paging was turned on; no access so far */
  show 0
  show 1                    /* faults; absent entries are not cached */
  map 1, (kFrame + 0x1000) | 1
  show 1
  mov $0x33, %al
  map 1, (kFrame + 0x1000) | 3    /* more rights, without INVLPG */
  try
  mov %al, kHigh + 4096
  tried
  show 1
  map 1, 0
  invlpg kHigh + 4096
  show 1
  map 0, 0
  mov %cr3, %eax
  mov %eax, %cr3
  show 0
  mov %cr4, %eax
  or $0x80, %eax
  mov %eax, %cr4
  map 2, (kFrame + 0x2000) | 0x101
  show 2
  map 2, 0
  invlpg kHigh + 0x2000
  show 2
  map 3, (kFrame + 0x2000) | 0x101
  show 3
  map 3, 0
  mov %cr4, %eax
  and $0xffffff7f, %eax
  mov %eax, %cr4
  show 3
  movb $0x22, kFrame
  map 0, kFrame | 1
  show 0
  ret
