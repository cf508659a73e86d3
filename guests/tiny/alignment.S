/* #AC: needs CR0.AM, EFLAGS.AC and CPL 3, error code 0; words, double words and quadwords (x87, MOVQ) at addresses that they do not divide, the stack and
   string instructions too, and SGDT (four); bytes never, nor anything at CPL 0. SDM Vol. 3A, "Interrupt 17—Alignment Check Exception (#AC)".

   Prints: with all three a word, a double word, FLD of eight bytes at an address divisible by four, PUSH with an odd ESP, LODSW; without AM, without AC: nothing (80);
   bytes and an aligned word: nothing (80); at CPL 0: nothing; SGDT.

   TCG: does not check alignment
   Expect: 11:0000 11:0000 11:0000 11:0000 11:0000 80:0000 80:0000 80:0000 - 11:0000 */
.include "tiny.inc"
.section .text
.macro user label
  try
  go_user \label, 3
  tried
.endm
.macro check_on
  pushf
  orl $0x40000, (%esp)
  popf
.endm
main:
  mov %cr0, %eax
  or $0x40000, %eax
  mov %eax, %cr0
  user word_access
  user doubleword
  user quadword
  user stack_access
  user string
  user without_ac
  user aligned
  mov %cr0, %eax
  and $~0x40000, %eax
  mov %eax, %cr0
  user without_am
  mov %cr0, %eax
  or $0x40000, %eax
  mov %eax, %cr0
  check_on
  mov odd, %eax
  print_char '-'
  print_space
  push $2
  popf
  user table
  ret
word_access:
  check_on
  mov odd, %ax
doubleword:
  check_on
  mov even, %eax
quadword:
  check_on
  fldl four
stack_access:
  check_on
  dec %esp
  push %eax
string:
  check_on
  mov $odd, %esi
  lodsw
without_am:
  check_on
without_ac:
  mov odd, %eax
  int $0x80
aligned:
  check_on
  mov odd, %al
  mov even, %ax
  sgdt four
  mov four, %eax
  int $0x80
table:
  check_on
  sgdt even
.section .data
.align 8
four = . + 4
even = . + 2
odd = . + 1
  .fill 16, 1, 0
