/* 8259A: fixed priorities (IRQ 1 waits for the EOI of IRQ 0), an OCW2 that makes IRQ 0 the lowest (C0h) and back (C7h), the in-service register, and poll.
   Requests come from the PIT (0) and the keyboard controller's command D2h, "write output buffer" (1). Automatic EOI, rotation with the
   EOI, specific EOI and special mask mode are in pic_rotation.S, spurious requests in pic_spurious.S, levels in pic_level.S.
   8259A data sheet, "Operation of the 8259A".

   Prints: pending requests before; vector and in service while IRQ 0 is served, then the other vector; the two vectors with IRQ 0 lowest; poll's answer.

   Expect: 3 20 01 21 21 20 81 */
.include "tiny.inc"
.include "pic.inc"
.section .text
.macro requests               /* both lines go up */
  pic_byte 0x43, 0x30         /* mode 0: one edge */
  pic_byte 0x40, 0x20
  pic_byte 0x40, 0
  pic_byte 0x64, 0x60
  pic_byte 0x60, 0x01         /* keyboard interrupt enabled */
  pic_byte 0x64, 0xd2
  pic_byte 0x60, 0x55
1:call read_requests
  cmp $3, %al
  jne 1b
.endm
main:
  pic_init 0xfc, 0xff
  set_gate 0x20, timer
  set_gate 0x21, keyboard
  requests
  print_hex %eax, 1
  print_space
  sti
  nop
  nop
  cli
  in $0x60, %al
  pic_byte 0x20, 0xc0         /* OCW2: IRQ 0 becomes the lowest priority */
  requests
  sti
  nop
  nop
  cli
  in $0x60, %al
  pic_byte 0x20, 0xc7         /* the order of reset */
  pic_byte 0x21, 0xfd
  pic_byte 0x64, 0xd2
  pic_byte 0x60, 0x55
  pic_byte 0x20, 0x0c         /* OCW3: poll */
  in $0x20, %al
  print_hex %eax, 2
  ret
read_requests:
  mov $0x0a, %al
  out %al, $0x20
  in $0x20, %al
  and $3, %eax
  ret
timer:
  print_hex $0x20, 2
  print_space
  cmpl $0, first
  jne 1f
  incl first
  mov $0x0b, %al
  out %al, $0x20
  in $0x20, %al
  print_hex %eax, 2
  print_space
1:pic_byte 0x20, 0x20
  iret
keyboard:
  print_hex $0x21, 2
  print_space
  incl first
  pic_byte 0x20, 0x20
  iret
.section .data
first: .long 0
