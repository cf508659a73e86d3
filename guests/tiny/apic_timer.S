/* The local APIC's timer: one-shot and periodic, the divide configuration, the current count that reaches 0; an interrupt to itself; TPR holds a vector
   of its class back until it is lowered; EOI takes the highest from the in-service register. SDM Vol. 3A, "APIC Timer", "Task and
   Processor Priorities".

   Prints the vectors as they arrive: the one-shot, and the count behind it; the self IPI held back (-) and let through; two of the periodic timer.

   Expect: 40 0 - 51 41 41 */
.include "tiny.inc"
.include "apic.inc"
.section .text
main:
  mov $0xff, %al
  out %al, $0x21
  out %al, $0xa1
  set_gate 0x40, on_40
  set_gate 0x41, on_41
  set_gate 0x51, on_51
  movl $0x1ff, kApicSpurious
  movl $0xb, kApic + 0x3e0            /* divide by 1 */
  movl $0x40, kApic + 0x320
  movl $100000, kApic + 0x380
  sti
  hlt
  cli
  print_hex kApic+0x390, 1
  print_space
  movl $0x50, kApic + 0x80            /* TPR: class 5 waits */
  movl $0x44051, kApicIcrLow          /* to self */
  sti
  nop
  nop
  print_char '-'
  print_space
  movl $0x40, kApic + 0x80
  nop
  nop
  cli
  movl $0, kApic + 0x80
  movl $0x20041, kApic + 0x320        /* periodic */
  movl $100000, kApic + 0x380
1:sti
  hlt
  cli
  cmpl $2, ticks
  jb 1b
  ret
on_40:
  print_hex $0x40, 2
  jmp 1f
on_41:
  incl ticks
  cmpl $2, ticks
  ja 2f
  print_hex $0x41, 2
  jmp 1f
on_51:
  print_hex $0x51, 2
1:print_space
2:movl $0, kApicEoi
  iret
.section .data
ticks: .long 0
