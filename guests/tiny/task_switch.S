/* CALL to a TSS nests: busy bits of both, back link and NT set; IRET goes back. SDM Vol. 3A, "Task Switching", "Task Linking".

   Prints: in the new task the type bytes of both descriptors, the back link, NT; after the return the type bytes again, and NT as saved in
   the second TSS.

   Expect: 8b 8b 0028 1 8b 89 0 */
.include "tiny.inc"
.section .text
.macro print_state
  print_hex gdt+kTss+5, 2
  print_char ' '
  print_hex gdt+kTss2+5, 2
  print_char ' '
.endm
main:
  movl $task, tss2 + 0x20
  movl $2, tss2 + 0x24
  movl $task_stack_top, tss2 + 0x38
  movl $kData0, tss2 + 0x48
  movl $kCode0, tss2 + 0x4c
  movl $kData0, tss2 + 0x50
  movl $kData0, tss2 + 0x54
  lcall $kTss2, $0
  print_state
  mov tss2 + 0x24, %eax
  shr $14, %eax
  print_hex %eax, 1
  ret

task:
  print_state
  print_hex tss2, 4
  print_char ' '
  pushf
  pop %eax
  shr $14, %eax
  print_hex %eax, 1
  print_char ' '
  iret
.section .bss
  .skip 1024
task_stack_top:
