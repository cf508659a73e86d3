/* Interrupt acknowledge cycles without a request: the 8259A answers with level 7 of its vectors and puts nothing in service. An I/O APIC entry
   with delivery mode ExtINT makes the processor run them for the PIT's pin while the 8259A's own input is masked. An EOI that the handler does not
   send is not missed. 8259A data sheet, "Interrupt Sequence"; 82093AA data sheet, "Redirection Table Registers".

   Prints: the vector, the in-service register in the handler, then the vector of a genuine request and its in-service register.

   Expect: 27 00 20 01 */
.include "tiny.inc"
.include "pic.inc"
.include "apic.inc"
.section .text
.set kIoApic, 0xfec00000
.macro count_down
  pic_byte 0x43, 0x30         /* mode 0: one edge */
  pic_byte 0x40, 0x20
  pic_byte 0x40, 0
.endm
.macro wait_for register, value
1:cmpl $\value, \register
  jne 1b
.endm
main:
  pic_init 0xff, 0xff
  set_gate 0x20, genuine
  set_gate 0x27, spurious
  movl $0x15, kIoApic         /* pin 2 to processor 0 */
  movl $0, kIoApic + 0x10
  movl $0x14, kIoApic
  movl $0x700, kIoApic + 0x10
  count_down
  sti
  wait_for seen, 1
  cli
  movl $0x14, kIoApic
  movl $0x10700, kIoApic + 0x10
  pic_byte 0x21, 0xfe         /* the PIT's output is high still, and its request waits */
  sti
  wait_for seen, 2
  cli
  ret
.macro show_service vector
  push %eax
  print_hex $\vector, 2
  print_space
  pic_byte 0x20, 0x0b
  xor %eax, %eax
  in $0x20, %al
  print_hex %eax, 2
  print_space
  incl seen
  pop %eax
.endm
spurious:
  show_service 0x27
  iret
genuine:
  show_service 0x20
  push %eax
  pic_byte 0x20, 0x20
  pop %eax
  iret
.section .data
seen: .long 0
