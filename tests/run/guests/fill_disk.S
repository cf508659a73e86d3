/* A boot sector that writes to sectors 8, 9, … of its disk, each filled with its own number, until the disk refuses one; then it sends "refused NNNN" (the
   number, hexadecimal) to COM1 and ends the machine with 0. Every sector below that was acknowledged. */
.code16
.globl _start
_start:
  cli
  xor %ax, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %ss
  mov $0x7c00, %sp
  sti
  cld
next:
  mov $0x8000, %di
  mov $256, %cx
  mov sector, %ax
  rep stosw
  mov $packet, %si
  mov $0x43, %ah              /* INT 13h extensions: write */
  mov $0, %al
  mov $0x80, %dl
  int $0x13
  jc refused
  incw sector
  jmp next
refused:
  mov $0x3f8, %dx
  mov $text, %si
1:lodsb
  test %al, %al
  jz 2f
  out %al, %dx
  jmp 1b
2:mov sector, %bx
  mov $4, %cx
3:rol $4, %bx
  mov %bl, %al
  and $15, %al
  add $'0', %al
  cmp $'9', %al
  jbe 4f
  add $39, %al
4:out %al, %dx
  loop 3b
  mov $0xf4, %dx
  xor %al, %al
  out %al, %dx
5:hlt
  jmp 5b

text: .asciz "refused "
.align 4
packet: .byte 16, 0
  .word 1, 0x8000, 0
sector: .word 8, 0, 0, 0
.org 510
  .word 0xaa55
