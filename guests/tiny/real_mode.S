/* Real mode: INT n pushes FLAGS, CS and IP and clears IF; a fault's IP is that of the instruction; beyond FFFFh is #GP, or #SS for the stack, without an
   error code; LIDT's limit is obeyed; segment limits loaded in protected mode stay ("big real mode") until the segment is loaded there again.
   SDM Vol. 3A, "Real-Address Mode Operation", "Interrupt and Exception Handling".

   Prints: INT 21h: IF as pushed and in the handler; #DE's IP (0: of the DIV); a word at FFFFh of DS, and of SS; the word read at 100000h through FS with a limit of 4 GiB; then DS, with 64 KiB, at the same place.

   TCG: does not check limits
   Expect: 0200 0000 0000 000d 000c beef 000d */
.include "tiny.inc"
.include "real.inc"
.code32
main:
  movw $0xbeef, 0x300000
  to_real
.code16
.macro fault instruction:vararg
  mov $(kReal + 8f - real_begin), %bp
  \instruction
8:
.endm
real_main:
  set_vector 0, divide
  set_vector 12, stack_fault
  set_vector 13, general
  set_vector 0x21, service
  lidtl %cs:(kReal + real_idt - real_begin)
  sti
  int $0x21
  cli
  xor %cl, %cl
3:div %cl
4:fault mov 0xffff, %ax
  fault mov %ss:0xffff, %ax
  mov %cr0, %eax            /* FS gets a limit of 4 GiB */
  or $1, %al
  lgdtl %cs:(kReal + r_gdt - real_begin)
  mov %eax, %cr0
  mov $kData0, %bx
  mov %bx, %fs
  and $0xfe, %al
  mov %eax, %cr0
  mov $0x1234, %bx          /* a load in real mode changes the base only */
  mov %bx, %fs
  mov $0x300000 - 0x12340, %ebx
  addr32 mov %fs:(%ebx), %ax
  call r_hex
  fault addr32 mov %ds:(%ebx), %ax
  r_exit
5:hlt
  jmp 5b
service:
  mov %sp, %bp
  mov 4(%bp), %ax
  and $0x200, %ax
  call r_hex
  pushf
  pop %ax
  and $0x200, %ax
  call r_hex
  iret
divide:
  pop %ax
  sub $(kReal + 3b - real_begin), %ax
  call r_hex
  pushw $(kReal + 4b - real_begin)
  iret
stack_fault:
  mov $12, %ax
  jmp 6f
general:
  mov $13, %ax
6:call r_hex
  add $2, %sp
  push %bp
  iret
r_gdt: .word 0x5f
  .long gdt
real_end:
.code32
