/* LOCK is allowed only before certain instructions with a memory destination; a register destination, a comparison, a load, MOV, shifts are #UD. The
   allowed ones run. SDM Vol. 2, "LOCK—Assert LOCK# Signal Prefix".

   Prints the sum that the allowed ones leave, then one #UD for each of the others.

   TCG: lets some of them through
   Expect: 0000000b 06:0000 06:0000 06:0000 06:0000 06:0000 06:0000 */
.include "tiny.inc"
.section .text
.macro refused instruction:vararg
  try
  .byte 0xf0
  \instruction
  tried
.endm
main:
  lock addl $5, word        /* 5 */
  lock incl word            /* 6 */
  lock orl $8, word         /* e */
  lock btrl $1, word        /* c */
  lock decl word            /* b */
  lock notl word
  lock negl word            /* c */
  mov $0xc, %eax
  mov $0xb, %ecx
  lock cmpxchg %ecx, word   /* b */
  print_hex word, 8
  print_space
  refused add %eax, %ecx
  refused cmpl $1, word
  refused mov %eax, word
  refused shll $1, word
  refused btl $1, word
  refused add word, %eax
  ret
.section .data
.align 4
word: .long 0
