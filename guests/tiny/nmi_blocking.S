/* After an NMI others are held until an IRET, whichever it is: the handler's own, one to the interrupted level in the middle of the handler, or one that faults.
   NMIs come from the processor's own local APIC. An NMI is taken with IF clear, and two that wait are one.
   SDM Vol. 3A, "Handling Multiple NMIs", "Nonmaskable Interrupt (NMI)".

   Prints the number of NMIs taken: inside the first handler behind two further ones; after it; in a handler behind an IRET of its own; in one
   behind an IRET that faults.

   TCG: keeps NMIs blocked behind an IRET that faults
   Expect: 1 2 2 2 */
.include "tiny.inc"
.include "apic.inc"
.section .text
.macro send_nmi
  movl $0x4400, kApicIcrLow           /* NMI to processor 0 */
  mov $1000, %ecx             /* it comes when it has crossed the bus */
  loop .
.endm
.macro show
  print_hex count, 1
  print_space
.endm
main:
  movl $0x1ff, kApicSpurious
  set_gate 2, twice
  send_nmi
  show
  set_gate 2, with_iret
  movl $0, count
  send_nmi
  set_gate 2, with_fault
  set_gate 13, skip
  movl $0, count
  send_nmi
  ret
twice:
  incl count
  cmpl $1, count
  jne 1f
  send_nmi
  send_nmi
  show
1:iret
with_iret:
  incl count
  cmpl $1, count
  jne 1f
  send_nmi
  pushf
  push %cs
  push $2f
  iret
2:nop
  show
1:iret
with_fault:
  incl count
  cmpl $1, count
  jne 1f
  send_nmi
  mov %esp, saved
  pushf
  push $0xfff8                /* a CS that does not exist */
  push $2f
  iret
2:nop
  show
1:iret
skip:                         /* the IRET's #GP: goes on behind it, on the stack as it was, without an IRET */
  mov saved, %esp
  jmp 2b
.section .data
count: .long 0
saved: .long 0
