/* HLT ends with an interrupt, and the saved EIP is behind it. The PIT's counter 0 (mode 2) raises IRQ 0 through the 8259A at its vector base;
   without an EOI no second one comes, with it the next does. 8254 and 8259A data sheets; SDM Vol. 2, "HLT".

   Prints: the vector, whether EIP was behind HLT, the in-service register, requests with the EOI withheld (the handler stays at 1), and after it.

   Expect: 20 1 01 1 2 */
.include "tiny.inc"
.include "pic.inc"
.section .text
main:
  pic_init 0xfe, 0xff
  set_gate 0x20, tick
  pit_rate 1193
  sti
  hlt
behind:
  cli
  print_hex $0x20, 2
  print_space
  xor %ecx, %ecx
  cmpl $behind, saved_eip
  sete %cl
  print_hex %ecx, 1
  print_space
  mov $0x0b, %al            /* OCW3: read the in-service register */
  out %al, $0x20
  in $0x20, %al
  print_hex %eax, 2
  print_space
  sti
  mov $20000, %ecx         /* much longer than a period */
1:in $0x80, %al
  loop 1b
  cli
  print_hex count, 1
  print_space
  mov $0x20, %al
  out %al, $0x20
  sti
  hlt
  cli
  print_hex count, 1
  ret
tick:
  pushl (%esp)
  popl saved_eip
  incl count
  iret
.section .data
count: .long 0
saved_eip: .long 0
