/* 8259A: rotation with a non-specific EOI (A0h) and a specific one (E0h + level) makes the served level the lowest; a specific EOI (60h + level) ends that
   level and no other; automatic EOI leaves nothing in service, and with rotation (80h) turns round as well; in special mask mode a level in
   service whose mask bit is set does not hold back lower ones, and a non-specific EOI passes it by. Requests come from the PIT (0) and the
   keyboard controller (1). 8259A data sheet, "Automatic Rotation", "Specific Rotation", "Automatic End of Interrupt", "Special Mask Mode".

   Prints, with both levels requested, what poll answers, and after each step the in-service register:
     80 01, A0h: 00, so 81 before 80; E7h would end 7 and makes it the lowest
     60h and 61h with 0 and 1 in service: 02, 00
     automatic EOI: 80 00; with rotation: then 81 before 80
     special mask mode: 0 in service and masked, 1 gets through: 81 03, a non-specific EOI takes 1: 01

   TCG: ends a masked level in special mask mode
   Expect: 80 01 00 81 80 02 00 80 00 81 80 81 03 01 */
.include "tiny.inc"
.include "pic.inc"
.section .text
.macro command value
  pic_byte 0x20, \value
.endm
.macro show_poll
  command 0x0c
  xor %eax, %eax
  in $0x20, %al
  print_hex %eax, 2
  print_space
.endm
.macro quiet_poll
  command 0x0c
  in $0x20, %al
.endm
.macro show_service
  command 0x0b
  xor %eax, %eax
  in $0x20, %al
  print_hex %eax, 2
  print_space
.endm
.macro restart icw4=1         /* both lines low, nothing in service, both levels unmasked; then both lines go up */
  in $0x60, %al
  pic_byte 0x43, 0x30         /* mode 0: the output falls */
  pic_init 0xfc, 0xff, \icw4
  call both
.endm
main:
  pic_byte 0x64, 0x60
  pic_byte 0x60, 0x01         /* keyboard interrupt enabled */
  restart
  show_poll
  show_service
  command 0xa0
  show_service
  call timer                  /* 0 again, now the lowest */
  show_poll
  command 0xe7                /* level 7, which is not in service: only the rotation happens */
  command 0x61
  show_poll

  restart
  quiet_poll                  /* 0 */
  pic_byte 0x21, 0xfd         /* special mask mode lets 1 in while 0 is served */
  command 0x68
  quiet_poll                  /* 1 */
  command 0x48
  command 0x60
  show_service
  command 0x61
  show_service

  restart 3                   /* automatic EOI */
  show_poll
  show_service
  command 0x80                /* rotation with it */
  call timer
  quiet_poll                  /* 0: becomes the lowest */
  call timer
  show_poll
  show_poll
  command 0x00

  restart
  quiet_poll                  /* 0 */
  pic_byte 0x21, 0xfd         /* 0 masked */
  command 0x68                /* special mask mode */
  show_poll
  show_service
  command 0x20
  show_service
  command 0x48
  ret
both:
  pic_byte 0x64, 0xd2
  pic_byte 0x60, 0x55
  call timer
1:call request
  test $2, %al
  jz 1b
  ret
timer:                        /* an edge of IRQ 0 */
  pic_byte 0x43, 0x30
  pic_byte 0x40, 0x20
  pic_byte 0x40, 0
1:call request
  test $1, %al
  jz 1b
  ret
request:
  command 0x0a
  in $0x20, %al
  ret
