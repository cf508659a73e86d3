/* The local descriptor table: LLDT takes an LDT descriptor of the GDT and nothing else; code, data and a call gate are found in it by TI; a selector
   beyond it is #GP with TI in the error code; LLDT of a null selector leaves none. SDM Vol. 3A, "Segment Selectors"; Vol. 2, "LLDT".

   Prints: LLDT's refusals (a data segment, an LDT selector itself, absent, beyond the GDT); SLDT; a word through a data segment of the LDT; CS within its code
   segment, reached by a far call and by its call gate; the fault beyond its limit; with no LDT; from CPL 3 LLDT.

   Expect: 0d:0010 0d:0004 0b:0038 0d:fff8 0038 beef 000c 000c 0d:001c 0000 0d:0004 0d:0000 */
.include "tiny.inc"
.section .text
.macro lldt_try selector
  try
  mov $\selector, %eax
  lldt %ax
  tried
.endm
main:
  lldt_try kData0
  lldt_try 4
  set_segment kFree, 0, 0x17, 0x02, 0
  lldt_try kFree
  lldt_try 0xfff8
  set_segment kFree, 0, 0x17, 0x82, 0     /* three descriptors */
  set_base kFree, table
  mov $word, %eax
  mov %ax, table + 2
  shr $16, %eax
  mov %al, table + 4
  mov $inside, %eax                       /* the gate */
  mov %ax, table + 16
  shr $16, %eax
  mov %ax, table + 22
  lldt_try kFree
  sldt %eax
  print_hex %eax, 4
  print_space
  mov $0x04, %eax
  mov %eax, %fs
  mov %fs:0, %ax
  print_hex %eax, 4
  print_space
  lcall $0x0c, $inside
  lcall $0x14, $0
  try
  mov $0x1c, %eax
  mov %eax, %fs
  tried
  xor %eax, %eax
  lldt %ax
  sldt %eax
  print_hex %eax, 4
  print_space
  try
  mov $0x04, %eax
  mov %eax, %fs
  tried
  try
  go_user user
  tried
  ret
inside:
  mov %cs, %eax
  print_hex %eax, 4
  print_space
  lret
user:
  xor %eax, %eax
  lldt %ax
.section .data
word: .long 0xbeef
.align 8
table:
  .word 0xf, 0                /* data; its base is set by main */
  .byte 0, 0x93, 0x40, 0
  .quad 0x00cf9b000000ffff    /* code */
  .long 0x000c0000, 0x8c00    /* call gate to it */
