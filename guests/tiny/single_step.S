/* TF: a #DB trap behind each instruction, none behind one that loads SS or behind the POPF that sets TF, one for every iteration of REP, none
   behind INT n (its handler runs without TF) nor behind the IRET that brings TF back, one behind STI. DR6.BS is set. SDM Vol. 3A, "Single-Step Exception Condition"; Vol. 2, "POP", "MOV".

   Prints the number of traps: three NOPs and a PUSH; MOV SS and the instruction behind it; REP STOSB with ECX = 3; INT 80h; STI and CLI; DR6's bits 15:12.

   TCG: no trap behind STI
   Expect: 4 2 4 2 3 4 */
.include "tiny.inc"
.section .text
.macro step_on
  movl $0, count
  push $0x102
  popf
.endm
.macro step_off             /* one trap for this PUSH; POPF's own trap is still taken */
  push $2
  popf
  mov count, %eax
  sub $1, %eax
  print_hex %eax, 1
  print_space
.endm
main:
  set_gate 1, debug_trap
  set_gate 0x80, nothing
  mov $0xff, %al
  out %al, $0x21
  mov %ss, %ebx
  step_on
  nop
  nop
  nop
  step_off
  step_on
  mov %ebx, %ss
  nop
  step_off
  mov $scratch, %edi
  mov $3, %ecx
  step_on
  rep stosb
  step_off
  step_on
  nop
  int $0x80
  step_off
  step_on
  sti
  cli
  step_off
  mov %dr6, %eax
  shr $12, %eax
  print_hex %eax, 1
  ret
debug_trap:
  incl count
  iret
nothing:
  iret
.section .data
count: .long 0
scratch: .long 0
