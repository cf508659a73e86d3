/* An exception in virtual-8086 mode puts GS, FS, DS, ES on the stack of level 0 as well, above SS:ESP, and leaves those registers null; the saved
   EFLAGS have VM and IOPL. IRET with VM in the image goes back and takes all of them. Addresses are segment * 16 + offset, up to 10FFEFh.
   SDM Vol. 3A, "Entering Virtual-8086 Mode", "Handling an Interrupt or Exception Through a Protected-Mode Trap or Interrupt Gate".

   Prints: in the handler CS:IP, EFLAGS, SS:SP, ES, DS, FS, GS, and DS as it is; the value that the guest read through FFFF:0010 (linear 100000h).

   Expect: 1000 000c 00023002 2000 0ffe 4000 3000 ffff 0000 0000 same 80:0000 */
.include "tiny.inc"
.include "v86.inc"
.macro show offset
  print_hex \offset(%ebp), 4
  print_space
.endm
main:
  set_gate 0x81, handler
  v86_try guest, 3
  ret
handler:
  mov %esp, %ebp
  mov %ds, %ebx
  push %eax
  mov $kData0, %eax
  mov %eax, %ds
  pop %eax
  mov %ax, saved
  show 4
  show 0
  print_hex 8(%ebp), 8
  print_space
  show 16
  show 12
  show 20
  show 24
  show 28
  show 32
  print_hex %ebx, 4
  print_space
  mov saved, %ax
  cmp %ax, 0x100000
  jne 1f
  print_char 's'
  print_char 'a'
  print_char 'm'
  print_char 'e'
  print_space
1:iret
.code16
guest:
  mov $0xffff, %bx
  push %bx
  mov %bx, %fs
  mov %fs:0x10, %ax
  int $0x81
  int $0x80
.code32
.section .data
saved: .long 0
