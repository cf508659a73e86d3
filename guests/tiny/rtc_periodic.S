/* The MC146818's periodic interrupt: IRQ 8 arrives through the slave 8259A at 28h and needs both EOIs; register C says PF and IRQF, and reading it lets the
   next one through. MC146818A data sheet, "Interrupts", "Register C".

   Expect: 28:c0 28:c0 28:c0 */
.include "tiny.inc"
.include "pic.inc"
.section .text
main:
  pic_init 0xfb, 0xfe
  set_gate 0x28, tick
  pic_byte 0x70, 0x0a
  pic_byte 0x71, 0x26         /* 1024 Hz */
  pic_byte 0x70, 0x0b
  pic_byte 0x71, 0x42         /* PIE, 24 hours; a tick from before it interrupts at once */
1:sti
  hlt
  cli
  cmpl $0, left
  jne 1b
  ret
tick:
  decl left
  jnz 1f
  pic_byte 0xa1, 0xff         /* no fourth, however late this one is served */
1:
  print_hex $0x28, 2
  print_char ':'
  pic_byte 0x70, 0x0c
  in $0x71, %al
  and $0xc0, %eax
  print_hex %eax, 2
  print_space
  pic_byte 0xa0, 0x20
  pic_byte 0x20, 0x20
  iret
.section .data
left: .long 3
