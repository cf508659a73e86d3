/* 16-bit code and stack segments in protected mode: default sizes, prefixes that turn them round, SP that wraps within 64 KiB while the upper
   half of ESP stays, near calls that push two bytes. SDM Vol. 1, "Default Address Size and Operand Size", "Stack"; Vol. 3A, "Segment Descriptors".

   Prints: SP's movement by a push and by a pushl, ESP behind a push at SP = 0, what LOOP took CX to be, the length of a near return address,
   the offset truncated to 16 bits, the limit fault of a jump to FFFFh + 1.

   TCG: does not check the limit of code segments
   Expect: 0002 0004 1234fffe 0001 0002 5678 0d:0000 */
.include "tiny.inc"
.section .text
.macro out_hex value, count
  mov \value, %eax
  mov $\count, %ecx
  lcalll $kCode0, $far_put_hex
.endm
main:
  set_segment kFree, 0, 0xffff, 0x9b, 0
  set_base kFree, code16
  movl $0x5678, 0x8004
  mov %esp, saved_esp
  ljmp $kFree, $0
back:
  mov $kData0, %eax
  mov %eax, %ss
  mov saved_esp, %esp
  set_segment kFree, 0, 0x0fff, 0x9b, 0
  set_base kFree, code16
  try
  ljmp $kFree, $beyond - code16
  tried
  ret
far_put_hex:
  call put_hex
  print_space
  lret
.align 16
code16:
.code16
  mov $kData16, %ax
  mov %ax, %ss
  mov $0x12348000, %esp
  mov %esp, %ebx
  push %ax
  mov %esp, %edx
  sub %edx, %ebx
  mov %ebx, %ebp
  pushl %eax
  sub %esp, %edx
  and $0xffff, %edx
  mov %edx, %esi
  mov $0x9000, %sp
  out_hex %ebp, 4
  out_hex %esi, 4
  mov $0x12340000, %esp
  push %ax
  mov %esp, %ebp
  mov $0x9000, %sp
  out_hex %ebp, 8
  mov $0x00010002, %ecx
  xor %esi, %esi
1:inc %esi
  addr32 loop 2f            /* uses ECX: 00010001h, taken */
2:loop 3f                   /* uses CX: now 0, not taken */
  mov $1, %esi
3:out_hex %esi, 4
  mov %sp, %dx
  call 4f
4:sub %sp, %dx
  movzwl %dx, %ebp
  mov $0x9000, %sp
  out_hex %ebp, 4
  mov $0x8006, %bx
  mov $0xfffe, %si
  mov %ss:(%bx,%si), %bp    /* 8006h + FFFEh is 8004h */
  movzwl %bp, %ebp
  out_hex %ebp, 4
  ljmpl $kCode0, $back
.code32
.org code16 + 0xffe
beyond: .byte 0x66, 0x90, 0x90
.code32
.section .data
saved_esp: .long 0
