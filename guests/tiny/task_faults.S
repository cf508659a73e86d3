/* Task switches that cannot be: to a busy TSS by JMP (#GP), absent (#NP), too short (#TS), IRET with NT whose back link is not a busy TSS (#TS), a new
   DS beyond the GDT (#TS, within the new task). After a switch CR0.TS is set: #NM. The T bit of the new TSS is #DB with BT, before the first
   instruction. SDM Vol. 3A, "Task Switching", "Task-State Segment".

   Prints the faults; DR6's bits 15:12 in the handler of the T bit comes first.

   TCG: has no T bit
   Expect: 0d:0028 0b:0030 0a:0030 0a:0030 8 07:0000 0a:fff8 */
.include "tiny.inc"
.section .text
.macro nt_iret
  pushf
  orl $0x4000, (%esp)
  popf
  iret
.endm
main:
  try
  ljmp $kTss, $0
  tried
  andb $0x7f, gdt + kTss2 + 5
  try
  ljmp $kTss2, $0
  tried
  orb $0x80, gdt + kTss2 + 5
  movw $0x66, gdt + kTss2
  try
  ljmp $kTss2, $0
  tried
  movw $0x67, gdt + kTss2
  movw $kTss2, tss                    /* back link to a TSS that is not busy */
  try
  nt_iret
  tried
  push $2
  popf
  movl $task, tss2 + 0x20
  movl $2, tss2 + 0x24
  movl $task_stack, tss2 + 0x38
  movl $kData0, tss2 + 0x48
  movl $kCode0, tss2 + 0x4c
  movl $kData0, tss2 + 0x50
  movl $kData0, tss2 + 0x54
  movw $1, tss2 + 0x64                /* T */
  set_gate 1, traced
  lcall $kTss2, $0
  movw $0, tss2 + 0x64
  movl $0xfff8, tss2 + 0x54
  try
  ljmp $kTss2, $0
  tried
  ret
traced:
  mov %dr6, %eax
  shr $12, %eax
  print_hex %eax, 1
  print_space
  iret
task:
  mov %esp, tss2 + 4
  set_gate 7, no_device
  fnop
  iret
no_device:
  clts
  print_char '0'
  print_char '7'
  print_char ':'
  print_hex $0, 4
  print_space
  iret
.section .bss
  .skip 1024
task_stack:
