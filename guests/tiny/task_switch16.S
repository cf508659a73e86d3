/* A task switch to a 16-bit TSS and back: IP, FLAGS, the low halves of the registers and ES to DS are loaded, FS and GS become null, and the
   upper halves of the general registers are ones; CR3 stays. The incoming TSS has 2Ch bytes; one byte less is #TS. Going back saves the low
   halves. A 16-bit TSS gives the stack of an interrupt from CPL 3 as SP0 and SS0 at offset 2. SDM Vol. 3A, "16-Bit Task-State Segment (TSS)".

   Prints: the #TS; in the task EAX, FS, back link, NT; back in the first task AX as saved and the type bytes; the handler's ESP above its frame and SS.

   TCG: takes a TSS that is too short
   Expect: 0a:0030 ffff5678 0000 0028 1 | 9abc 8b 81 | 0000fe00 0058 0002 */
.include "tiny.inc"
.section .text
.set kTss16, 0x500           /* below 64 KiB */
.macro word offset, value
  movw $(\value), kTss16 + \offset
.endm
main:
  mov $kTss16, %edi
  mov $0x2c / 2, %ecx
  xor %eax, %eax
  rep stosw
  mov $in_task, %esi          /* code that 16-bit IP can reach */
  mov $0x1000, %edi
  mov $in_task_end - in_task, %ecx
  rep movsb
  set_segment kTss2, kTss16, 0x2a, 0x81, 0
  try
  lcall $kTss2, $0
  tried
  set_segment kTss2, kTss16, 0x2b, 0x81, 0
  set_segment kFree, 0, 0xfffff, 0x9b, 0xc
  word 0x0e, 0x1000           /* IP */
  word 0x10, 2                /* FLAGS */
  word 0x12, 0x5678           /* AX */
  word 0x1a, 0x4000           /* SP */
  word 0x22, kData0           /* ES, CS, SS, DS */
  word 0x24, kCode0
  word 0x26, kData16
  word 0x28, kData0
  mov $kData0, %eax
  mov %eax, %fs
  mov $0x12345678, %eax
  lcall $kTss2, $0
  print_char '|'
  print_space
  print_hex kTss16+0x12, 4
  print_space
  print_hex gdt+kTss+5, 2
  print_space
  print_hex gdt+kTss2+5, 2
  print_space
  print_char '|'
  print_space

  /* An interrupt from CPL 3 with a 16-bit task register. */
  word 0x02, 0xfe00           /* SP0 */
  word 0x04, kData16          /* SS0 */
  set_gate 0x80, from_user
  mov $kTss2, %eax
  ltr %ax
  mov %esp, resume_esp
  mov $kData3, %eax
  mov %eax, %ds
  push $kData3
  push $user_stack_top
  push $2
  push $kCode3
  push $user
  iret
user:
  int $0x80
from_user:
  mov $kData0, %eax
  mov %eax, %ds
  mov %esp, %ebx
  add $20, %ebx
  movzwl %bx, %ebx
  mov %ss, %ecx
  mov %esp, %ebp
  mov resume_esp, %eax
  mov 8(%ebp), %edx           /* EFLAGS, through SS */
  mov $kData0, %edi
  mov %edi, %ss
  mov %eax, %esp
  print_hex %ebx, 8
  print_space
  print_hex %ecx, 4
  print_space
  and $0x20002, %edx
  print_hex %edx, 4
  jmp tiny_exit

in_task:                      /* position-independent but for what it calls */
  mov %eax, %ebx
  mov $put_hex, %esi
  mov $8, %ecx
  mov %ebx, %eax
  call *%esi
  mov $' ', %al
  out %al, $0xe9
  mov %fs, %eax
  mov $4, %ecx
  call *%esi
  mov $' ', %al
  out %al, $0xe9
  movzwl kTss16, %eax
  call *%esi
  mov $' ', %al
  out %al, $0xe9
  pushf
  pop %eax
  shr $14, %eax
  mov $1, %ecx
  call *%esi
  mov $' ', %al
  out %al, $0xe9
  mov $0x11119abc, %eax
  iret
in_task_end:
