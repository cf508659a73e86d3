/* A level-triggered input of the 8259A (ELCR of the PIIX3, ports 4D0h and 4D1h): a request is the line's level. While the device holds the line, the EOI
   makes the same interrupt pending again; when the device lets go before the acknowledgement, the request is gone. Lines 0, 1, 2, 8 and 13 stay
   edge-triggered whatever is written. The line is COM1's (IRQ 4), whose "transmitter empty" interrupt lasts until IIR is read.
   8259A data sheet, "Level Triggered Mode"; PIIX3 data sheet, "ELCR1/ELCR2".

   Prints: ELCR1 and ELCR2 as they read behind FFh; edge-triggered: deliveries with the line held; level-triggered: the same, stopped by the handler
   at its third; the request register before and after the device lets go without an acknowledgement.

   Options: -serial null
   Expect: f8 de 1 3 10 00 */
.include "tiny.inc"
.include "pic.inc"
.section .text
.macro com1 register, value
  mov $0x3f8 + \register, %edx
  mov $\value, %al
  out %al, %dx
.endm
.macro hold                   /* the line goes up and stays there */
  com1 1, 2
.endm
.macro release
  com1 1, 0
.endm
.macro elcr value
  mov $0x4d0, %edx
  mov $\value, %al
  out %al, %dx
.endm
.macro show_request
  call read_request
  print_hex %eax, 2
  print_space
.endm
.macro count_deliveries
  movl $0, count
  sti
  nop
  nop
  nop
  cli
  print_hex count, 1
  print_space
.endm
main:
  pic_init 0xef, 0xff
  set_gate 0x24, serial
  elcr 0xff
  in %dx, %al
  print_hex %eax, 2
  print_space
  inc %edx
  mov $0xff, %al
  out %al, %dx
  in %dx, %al
  print_hex %eax, 2
  print_space
  com1 4, 8                   /* OUT2: the interrupt reaches the line */
  elcr 0
  hold
  count_deliveries
  release
  elcr 0x10
  hold
  count_deliveries
  release
  hold
  show_request
  release
  show_request
  ret
read_request:
  pic_byte 0x20, 0x0a         /* OCW3: read the request register */
  xor %eax, %eax
  in $0x20, %al
  and $0x10, %al
  ret
serial:
  push %eax
  push %edx
  incl count
  cmpl $3, count
  jb 1f
  release
1:pic_byte 0x20, 0x20
  pop %edx
  pop %eax
  iret
.section .data
count: .long 0
