/* NMI ends HLT although IF is clear, and a second one waits until the first handler's IRET; the one that waits is not lost. The first processor sends them
   to the second. SDM Vol. 3A, "Nonmaskable Interrupt (NMI)", "Handling Multiple NMIs".

   Prints: how many had been taken while the first was handled and the second was sent; how many in the end.

   Options: -smp 2
   Expect: 1 2 */
.include "tiny.inc"
.include "apic.inc"
.macro wait_for value
1:pause
  cmpl $\value, stage
  jne 1b
.endm
.section .text
main:
  set_gate 2, handler
  start_other other
  wait_for 1
  movl $0xc4400, kApicIcrLow
  wait_for 2
  movl $0xc4400, kApicIcrLow
  movl $3, stage
  wait_for 4
  print_hex seen, 1
  print_space
  print_hex count, 1
  ret
other:
  movl $1, stage
1:hlt
  jmp 1b
handler:
  pusha
  incl count
  cmpl $1, count
  jne 2f
  movl $2, stage
  wait_for 3
  mov $1000, %ecx
1:pause
  loop 1b
  mov count, %eax
  mov %eax, seen
  jmp 3f
2:movl $4, stage
3:popa
  iret
.section .data
.align 4
stage: .long 0
count: .long 0
seen: .long 0
