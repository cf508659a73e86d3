/* An interrupt through a task gate: the interrupted task stays busy, the handler's back link leads to it, NT is set; its error code is pushed onto the
   new task's stack; IRET resumes. JMP leaves the old task not busy, without NT. SDM Vol. 3A, "Interrupt Tasks", "Task Linking".

   Prints: in the handler type bytes, back link, NT; for #GP its error code; after JMP the type bytes and NT.

   Expect: 8b 8b 0028 1 fff8 8b 89 | 89 8b 0 */
.include "tiny.inc"
.section .text
.macro types
  print_hex gdt+kTss+5, 2
  print_space
  print_hex gdt+kTss2+5, 2
  print_space
.endm
.macro nested_flag
  pushf
  pop %eax
  shr $14, %eax
  print_hex %eax, 1
  print_space
.endm
.macro prepare entry
  movl $\entry, tss2 + 0x20
  movl $2, tss2 + 0x24
  movl $task_stack, tss2 + 0x38
  movl $kData0, tss2 + 0x48
  movl $kCode0, tss2 + 0x4c
  movl $kData0, tss2 + 0x50
  movl $kData0, tss2 + 0x54
.endm
main:
  movl $kTss2 << 16, idt + 0x80 * 8
  movl $0xe500, idt + 0x80 * 8 + 4
  movl $kTss2 << 16, idt + 13 * 8
  movl $0xe500, idt + 13 * 8 + 4
  prepare interrupt_task
  int $0x80
  prepare fault_task
  mov $0xfff8, %eax
  mov %eax, %fs
  nop                       /* the handler's task has changed EIP to here */
behind:
  types
  print_char '|'
  print_space
  prepare jumped
  ljmp $kTss2, $0
interrupt_task:
  types
  print_hex tss2, 4
  print_space
  nested_flag
  iret
fault_task:
  pop %ecx
  print_hex %ecx, 4
  print_space
  movl $behind, tss + 0x20
  iret
jumped:
  types
  nested_flag
  jmp tiny_exit
.section .bss
  .skip 1024
task_stack:
