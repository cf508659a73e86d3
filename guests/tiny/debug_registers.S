/* DR0-DR3: an instruction breakpoint is a fault before the instruction, passed once with RF; data and I/O breakpoints are traps behind it; DR6 says
   which. Overlapping bytes match. GD makes an access to a debug register #DB with BD, and is cleared by its delivery. DR4 and DR5 are DR6 and DR7
   unless CR4.DE is set (#UD). SDM Vol. 3B, "Debug Registers", "Debug Exceptions".

   Prints for each #DB: DR6's low 16 bits and the distance of the saved EIP from the instruction (0: a fault).

   TCG: has no GD
   Expect: 0ff1/0 0ff2/5 0ff2/5 0ff8/2 2ff0/0 0400 06:0000 */
.include "tiny.inc"
.section .text
main:
  set_gate 1, debug_trap
  mov $watched, %eax
  mov %eax, %dr0
  mov $word, %eax
  mov %eax, %dr1
  mov $0xe9, %eax
  mov %eax, %dr3
  mov %cr4, %eax
  or $8, %eax
  mov %eax, %cr4
  mov $0x00000402, %eax     /* G0, execution */
  mov %eax, %dr7
  movl $watched, start
watched:
  nop
  mov $0x00d00408, %eax     /* G1, writes of four bytes */
  mov %eax, %dr7
  movl $1f, start
1:mov %eax, word
  movl $2f, start
  mov $0x00d00408, %eax     /* the handler has cleared DR7 */
  mov %eax, %dr7
2:mov %eax, word + 3
  mov word, %eax
  mov $0x20000480, %eax     /* G3, I/O of one byte */
  mov %eax, %dr7
  movl $3f, start
  mov $' ', %al
3:out %al, $0xe9
  mov $0x2400, %eax         /* GD */
  mov %eax, %dr7
  movl $4f, start
4:mov %dr0, %eax
  mov %dr7, %eax
  print_hex %eax, 4
  print_space
  try
  mov %dr4, %eax
  tried
  ret
debug_trap:
  pusha
  mov $0x400, %eax
  mov %eax, %dr7            /* the output below is not to be trapped */
  mov %dr6, %eax
  print_hex %eax, 4
  print_char '/'
  mov 32(%esp), %eax
  sub start, %eax
  print_hex %eax, 1
  print_space
  mov $0xffff0ff0, %eax
  mov %eax, %dr6
  popa
  orl $0x10000, 8(%esp)     /* RF */
  iret
.section .data
start: .long 0
.align 4
word: .long 0, 0
