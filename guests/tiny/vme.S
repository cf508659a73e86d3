/* Virtual-8086 mode extensions (CR4.VME), IOPL 0: CLI and STI change VIF, PUSHF shows VIF as IF and IOPL as 3, STI with VIP set is #GP(0), POPF does
   not let TF through. INT n is sent to the interrupt table of the 8086 program where the redirection bitmap has a 0, as an interrupt of real
   mode that clears VIF; elsewhere #GP(0). SDM Vol. 3A, "Virtual-8086 Mode Extensions", "Software Interrupt Handling".

   Prints, for each run, what the program left in BX and DX if that is not 0 (flags that it saw; the last run sees none) and the fault that ended it.

   TCG: leaves CLI, STI and PUSHF without virtual interrupts
   Expect: 3002 0d:0000 3202 0d:0000 3202 3002 0d:0000 0d:0000 0d:0000 */
.include "tiny.inc"
.include "v86.inc"
.macro run label
  v86_try \label, 0
.endm
main:
  mov %cr4, %eax
  or $1, %eax
  mov %eax, %cr4
  /* The TSS: redirection bitmap at 68h, I/O bitmap behind it at 88h. */
  movw $0x88, tss + 0x66
  andb $0xfd, tss + 0x68 + 4      /* INT 21h is redirected */
  movl $0x10000080, 0x21 * 4      /* to 1000:0080 */
  set_gate 13, general_protection
  run clear
  run set
  run redirected
  run not_redirected
  orl $0x100000, v86_flags        /* VIP */
  run clear
  ret
general_protection:               /* shows what DX and BX hold when HLT ends the program */
  push %ds
  push $kData0
  pop %ds
  test %ebx, %ebx
  jz 1f
  print_hex %ebx, 4
  print_space
  test %edx, %edx
  jz 1f
  print_hex %edx, 4
  print_space
1:xor %ebx, %ebx
  xor %edx, %edx
  pop %ds
  push $13
  jmp report
.code16
clear:
  sti
  cli
  pushf
  pop %bx
  hlt
set:
  sti
  pushf
  pop %bx
  hlt
redirected:
  sti
  int $0x21
  hlt
  .org redirected + 0x80
  pushf
  pop %dx
  pop %ax
  pop %ax
  pop %bx                         /* the flags that INT saved */
  hlt
not_redirected:
  int $0x22
.code32
