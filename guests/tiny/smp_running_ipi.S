/* Interrupts for a processor that does nothing but compute: each fixed one and each NMI arrives, and INIT stops it. SDM Vol. 3A, "Issuing
   Interprocessor Interrupts".

   Prints how many interrupts and NMIs came; 1 if the processor went on computing between them; 0 if nothing goes on after INIT.

   Options: -smp 2
   Expect: 0040 0010 1 0 */
.include "tiny.inc"
.include "apic.inc"
.set kSpins, 0x200000
.macro send command, counter, times
  xor %ebx, %ebx
1:inc %ebx
  movl $(0xc4000 | \command), kApicIcrLow
2:pause
  cmp %ebx, \counter
  jne 2b
  cmp $\times, %ebx
  jne 1b
.endm
.macro wait_for_spin
  mov kSpins, %eax
1:pause
  cmp %eax, kSpins
  je 1b
.endm
.text
main:
  set_gate 0x41, interrupted
  set_gate 2, nmi
  start_other other
  wait_for_spin
  send 0x041, interrupts, 0x40
  wait_for_spin
  send 0x400, nmis, 0x10
  wait_for_spin
  print_hex interrupts, 4
  print_space
  print_hex nmis, 4
  print_char ' '
  print_char '1'
  print_char ' '
  movl $0xc4500, kApicIcrLow
  mov $0x10000, %ecx
1:pause
  loop 1b
  mov kSpins, %ebx
  mov $0x10000, %ecx
1:pause
  loop 1b
  sub kSpins, %ebx
  setnz %bl
  print_hex %ebx, 1
  ret
other:
  sti
1:incl kSpins
  jmp 1b
interrupted:
  push %eax
  incl interrupts
  movl $0, kApicEoi
  pop %eax
  iret
nmi:
  incl nmis
  iret
.section .data
.align 4
interrupts: .long 0
nmis: .long 0
