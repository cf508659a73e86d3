/* The exceptions that an instruction of its own raises, with their vectors and error codes (0000 stands for none as well). #PF, #DF, #TS and
   the segment faults have guests of their own. SDM Vol. 3A, "Exception and Interrupt Reference"; #AC needs CPL 3, EFLAGS.AC and CR0.AM, #MF
   CR0.NE and a waiting instruction, #XM CR4.OSXMMEXCPT.

   TCG: raises neither #AC nor #XM
   Expect: 00:0000 01:0000 03:0000 04:0000 05:0000 06:0000 07:0000 10:0000 11:0000 13:0000 06:0000 0d:0000 */
.include "tiny.inc"
.section .text
main:
  try
  xor %ecx, %ecx
  div %ecx
  tried
  try
  .byte 0xf1
  tried
  try
  int3
  tried
  try
  mov $0x7fffffff, %eax
  inc %eax
  into
  tried
  try
  mov $8, %eax
  bound %eax, bounds
  tried
  try
  ud2
  tried
  try
  mov %cr0, %eax
  or $8, %eax
  mov %eax, %cr0
  fnop
  tried
  clts
  mov %cr0, %eax
  or $0x20, %eax
  mov %eax, %cr0
  try
  fninit
  fldcw unmasked
  fld1
  fldz
  fdivrp %st, %st(1)
  fwait
  tried
  fninit
  mov %cr0, %eax
  or $0x40000, %eax
  mov %eax, %cr0
  try
  go_user unaligned
  tried
  mov %cr4, %eax
  or $0x600, %eax
  mov %eax, %cr4
  try
  ldmxcsr raising
  pxor %xmm1, %xmm1
  divss %xmm1, %xmm0
  tried
  try
  .byte 0xf0
  mov %eax, bounds          /* LOCK where it is not allowed */
  tried
  try
  .fill 14, 1, 0x66         /* longer than 15 bytes */
  mov %eax, bounds
  tried
  ret
unaligned:
  pushf
  orl $0x40000, (%esp)
  popf
  mov bounds + 2, %eax
.section .data
.align 4
bounds: .long 1, 7
unmasked: .word 0x37b
.align 4
raising: .long 0x1d00         /* invalid operation and division by zero */
