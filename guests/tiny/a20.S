/* The A20 gate: while it is closed, FFFF:0010 is address 0 as on an 8086; open, it is 100000h. Port 92h bit 1 and the 8042's output port bit 1 (command D1h)
   both lead to it. SDM Vol. 3A, "Address Translation in Real-Address Mode"; 8042 data sheet, "Write Output Port".

   Prints 1 if FFFF:0510 and 0000:0500 are different: at the start; closed by both; opened by port 92h and closed; opened by the 8042.

   Expect: 0001 0000 0001 0000 0001 */
.include "tiny.inc"
.include "real.inc"
.code32
main:
  to_real
.code16
.macro output_port value
  call ready
  mov $0xd1, %al
  out %al, $0x64
  call ready
  mov $\value, %al
  out %al, $0x60
  call ready
.endm
.macro port92 value
  mov $\value, %al
  out %al, $0x92
.endm
real_main:
  mov $0xffff, %ax
  mov %ax, %es
  call show
  output_port 0xdd
  port92 0
  call show
  port92 2
  call show
  output_port 0xdd
  port92 0
  call show
  output_port 0xdf
  call show
  r_exit
1:hlt
  jmp 1b
show:
  movw $0x1111, 0x500
  movw $0x2222, %es:0x510
  xor %ax, %ax
  cmpw $0x1111, 0x500
  sete %al
  call r_hex
  ret
ready:
  in $0x64, %al
  test $2, %al
  jnz ready
  ret
real_end:
.code32
