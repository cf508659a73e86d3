/* A page that its page table does not have any more can be used until its address is invalidated, if the processor remembers the translation. Old kernels
   relied on that for a few instructions; no processor promises it, since it may forget at any time. Here it holds, but not with --shadow=proactive, where
   a change of a page table takes effect at once. SDM Vol. 3A, "Delayed Invalidation". See docs/shadow.md.

   Expect: 33 44 44 0e:0000
   Proactive: 33 0e:0002 0e:0000 33 0e:0000 */
.include "tiny.inc"
.include "paging.inc"
.macro show address
  try
  mov \address, %al
  print_hex %eax, 2
  print_space
  tried
.endm
.section .text
main:
  paging_on
  map 0, kFrame | 3
  movb $0x33, kHigh         /* remembered: present, writable, dirty */
  show kHigh
  map 0, 0
  try
  movb $0x44, kHigh
  tried
  show kHigh
  show kFrame               /* the same memory, mapped onto itself */
  invlpg kHigh
  show kHigh
  ret
