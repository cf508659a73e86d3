/* With CR0.NE clear an unmasked x87 exception is not #MF: the next waiting instruction stops, FERR# raises IRQ 13, a write to port F0h lowers it and lets
   the processor go on (IGNNE#) until the handler has cleared the exception. SDM Vol. 1, "MS-DOS Compatibility Sub-mode".

   Prints: the vector, the status word's low byte in the handler (ZE, ES), then a word that shows that the program went on.

   TCG: asserts in the host
   Expect: 2d 84 on */
.include "tiny.inc"
.include "pic.inc"
.section .text
main:
  mov %cr0, %eax
  and $0xffffffdf, %eax
  mov %eax, %cr0
  pic_init 0xfb, 0xdf
  set_gate 0x2d, coprocessor
  fninit
  fldcw unmasked
  fld1
  fldz
  sti
  fdivrp %st, %st(1)
  fwait
  nop
  cli
  print_char 'o'
  print_char 'n'
  ret
coprocessor:
  print_hex $0x2d, 2
  print_space
  mov $0, %al
  out %al, $0xf0
  fnstsw %ax
  and $0xff, %eax
  print_hex %eax, 2
  print_space
  fnclex
  pic_byte 0xa0, 0x20
  pic_byte 0x20, 0x20
  iret
.section .data
unmasked: .word 0x37b
