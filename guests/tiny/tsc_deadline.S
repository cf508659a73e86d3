/* The local APIC's timer in TSC-deadline mode: a deadline that has passed interrupts at the instruction behind its WRMSR and leaves 0 in the MSR,
   however far the guest has set its time-stamp counter ahead; one to come interrupts when it is there; 0 disarms. SDM Vol. 3A, "TSC-Deadline
   Mode".

   Prints: the interrupt of a deadline that is now, and what the MSR holds then; the same for the deadline 1 with the counter at 100 s; + and the
   interrupt of one to come; none (-) for one that was disarmed.

   Expect: 40 0 40 0 + 40 -
   TCG: has no TSC-deadline mode */
.include "tiny.inc"
.include "apic.inc"
.set kTimeStampCounter, 0x10
.set kTscDeadline, 0x6e0
.section .text
.macro write_deadline          /* EDX:EAX */
  mov $kTscDeadline, %ecx
  wrmsr
  nop
.endm
.macro print_deadline
  mov $kTscDeadline, %ecx
  rdmsr
  or %edx, %eax
  print_hex %eax, 1
  print_space
.endm
main:
  mov $0xff, %al
  out %al, $0x21
  out %al, $0xa1
  set_gate 0x40, on_40
  movl $0x1ff, kApicSpurious
  movl $0x40040, kApic + 0x320
  sti
  mov $kTimeStampCounter, %ecx
  rdmsr
  write_deadline
  print_deadline
  mov $kTimeStampCounter, %ecx
  mov $0x4876e800, %eax              /* 100 s */
  mov $0x17, %edx
  wrmsr
  mov $1, %eax
  xor %edx, %edx
  write_deadline
  print_deadline
  rdtsc
  add $20000000, %eax
  adc $0, %edx
  write_deadline
  print_char '+'
  print_space
  hlt
  rdtsc
  add $20000000, %eax
  adc $0, %edx
  write_deadline
  xor %eax, %eax
  xor %edx, %edx
  write_deadline
  mov $40000, %ecx
1:in $0x84, %al
  loop 1b
  print_char '-'
  ret
on_40:
  pusha
  print_hex $0x40, 2
  print_space
  popa
  movl $0, kApicEoi
  iret
