/* A load of SS holds debug traps back for one instruction: a data breakpoint that the load itself hits arrives behind the instruction after it, and
   single step skips the load. SDM Vol. 3A, "Masking Exceptions and Interrupts When Switching Stacks".

   Prints how many INC EBX were executed before the #DB: MOV SS from the watched word, then MOV GS from it. Then how often #DB comes, and what DR6
   says, when the instruction behind MOV SS is INT1, whose own #DB reports the breakpoint too; and when it is INT 1, which is an interrupt of its own.

   TCG: traps at once
   Expect: 1 0 1 1 2 1 */
.include "tiny.inc"
.section .text
main:
  set_gate 1, debug_trap
  mov $word, %eax
  mov %eax, %dr0
  mov $0x00070402, %eax     /* G0, reads and writes of two bytes */
  mov %eax, %dr7
  xor %ebx, %ebx
  mov word, %ss
  inc %ebx
  inc %ebx
  xor %ebx, %ebx
  mov word, %gs
  inc %ebx
  set_gate 1, count_trap
.macro count_traps instruction:vararg
  xor %eax, %eax
  mov %eax, %dr6
  xor %ebx, %ebx
  mov word, %ss
  \instruction
  print_hex %ebx, 1
  print_space
  mov %dr6, %eax
  and $0xf, %eax
  print_hex %eax, 1
  print_space
.endm
  count_traps .byte 0xf1
  count_traps int $1
  ret
count_trap:
  inc %ebx
  iret
debug_trap:
  print_hex %ebx, 1
  print_space
  iret
.section .data
.align 4
word: .word kData0, 0
