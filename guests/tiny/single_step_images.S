/* TF once more: what the images say. A trap between two iterations of REP has RF set in its image, the one behind the last has not; INT n pushes TF as it was and
   its IRET brings it back; PUSHF shows TF; CALL, a taken jump and a fault each count as one; a fault's handler runs without TF. A debug trap
   and an interrupt at the same boundary: the trap comes first. SDM Vol. 3B, "Single-Step Exception Condition", "Instruction-Breakpoint Exception
   Condition"; Vol. 3A, "Prioritization of Concurrent Events".

   Prints RF in the images of a REP with three iterations; TF as pushed by INT n and by PUSHF; the number of traps of CALL, RET and JMP; the same with a UD2
   whose handler goes on behind it.

   TCG: leaves RF clear
   Expect: 1 1 0 1 1 3 1 */
.include "tiny.inc"
.section .text
.macro step_on
  push $0x102
  popf
.endm
.macro step_off
  push $2
  popf
.endm
main:
  set_gate 1, show_rf
  mov $3, %ecx
  mov $scratch, %edi
  step_on
  rep stosb

  step_off
  set_gate 1, count_trap
  set_gate 0x40, show_tf
  step_on
  int $0x40
  step_off
  step_on
  pushf
  step_off
  pop %eax
  shr $8, %eax
  and $1, %eax
  print_hex %eax, 1
  print_space
  movl $0, count
  step_on
  call 1f
  jmp 2f
1:ret
2:step_off
  mov count, %eax
  sub $1, %eax                /* the PUSH of step_off; behind its POPF there is a trap too */
  sub $1, %eax
  print_hex %eax, 1
  print_space
  set_gate 6, skip
  movl $0, count
  step_on
  ud2
  nop
  step_off
  mov count, %eax
  sub $2, %eax
  print_hex %eax, 1
  ret
show_rf:
  cmpl $3, shown
  jae 1f
  incl shown
  mov 8(%esp), %eax
  shr $16, %eax
  and $1, %eax
  print_hex %eax, 1
  print_space
  xor %eax, %eax
1:iret

count_trap:
  incl count
  iret
show_tf:
  mov 8(%esp), %eax
  shr $8, %eax
  and $1, %eax
  print_hex %eax, 1
  print_space
  iret
skip:
  addl $2, (%esp)
  andl $~0x10000, 8(%esp)
  iret
.section .data
count: .long 0
shown: .long 0
scratch: .long 0
