/* 286 gates: an interrupt and a trap gate of 16 bits push FLAGS, CS and IP as words (from CPL 3 SS and SP before them), an error code is a word too; a call
   gate of 16 bits counts its parameters in words. What they enter is the code segment's own size: here 32 bits at an offset below 64 KiB.
   SDM Vol. 3A, "Mixing 16-Bit and 32-Bit Code", "Transferring Control Among Mixed-Size Code Segments"; "Call Gates".

   Prints: the length of the frame of INT through each gate, IF in the handler; #GP's word of an error code; with a change of level the
   length of the frame; the two words that the call gate copies; what a RETF of 16 bits with 4 bytes of parameters leaves on the outer stack.

   Expect: 6 0 6 2 fff8 a beef cafe 0000 80:0000 */
.include "tiny.inc"
.section .text
.macro set_gate16 vector, label, type
  movw $(0x1000 + \label - low), idt + \vector * 8
  movw $kCode0, idt + \vector * 8 + 2
  movw $(\type) << 8, idt + \vector * 8 + 4
  movw $0, idt + \vector * 8 + 6
.endm
main:
  mov $low, %esi
  mov $0x1000, %edi
  mov $low_end - low, %ecx
  rep movsb
  mov $0xff, %al
  out %al, $0x21
  out %al, $0xa1
  set_gate16 0x40, count, 0x86
  set_gate16 0x41, count, 0x87
  set_gate16 13, fault, 0x86
  set_gate16 0x42, deeper, 0xe6
  mov %esp, before
  mov $0x1000, %eax
  jmp *%eax
main_goes_on:
  try
  mov $0xfff8, %eax
  mov %eax, %fs
  tried
  set_gate 13, "stubs+13*16"
  movw $(0x1000 + gated - low), gdt + kFree   /* call gate, 16 bits, two words */
  movw $kCode0, gdt + kFree + 2
  movw $0xe402, gdt + kFree + 4
  movw $0, gdt + kFree + 6
  try
  go_user 0x1000+user-low, 3
  tried
  ret
.macro far_print_hex count
  push %esi
  mov $put_hex, %esi
  mov $\count, %ecx
  call *%esi
  mov $' ', %al
  out %al, $0xe9
  pop %esi
.endm
low:                          /* copied to 1000h: a word holds its addresses */
  sti
  int $0x40
  sti
  int $0x41
  cli
  mov $main_goes_on, %eax
  jmp *%eax
user:
  mov %esp, %esi
  int $0x42
  pushw $0xbeef
  pushw $0xcafe
  lcallw $kFree, $0
  sub %esp, %esi
  movzwl %si, %eax
  far_print_hex 4
  int $0x80

count:
  mov before, %eax
  sub %esp, %eax
  far_print_hex 1
  pushf
  pop %eax
  shr $8, %eax
  and $2, %eax
  far_print_hex 1
  iretw
fault:
  movzwl (%esp), %eax
  far_print_hex 4
  mov resume_esp, %esp
  jmp *resume_at
deeper:
  push %ds
  mov tss + 4, %eax
  sub %esp, %eax
  sub $4, %eax
  far_print_hex 1
  pop %ds
  iretw
gated:
  push %ebp
  mov %esp, %ebp
  movzwl 4 + 6(%ebp), %eax
  far_print_hex 4
  movzwl 4 + 4(%ebp), %eax
  far_print_hex 4
  pop %ebp
  lretw $4
low_end:
.section .data
before: .long 0
