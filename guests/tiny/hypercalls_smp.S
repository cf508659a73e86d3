/* Each processor has a shared page of its own: an interrupt for one whose flag is off waits there, and the other's page says nothing of it; with
   INIT the page is forgotten, so that the interrupt of a processor that has been started again does not ask it. docs/hypercalls.md.

   Prints: pending of the other, pending of the first, interrupts before and after the call, and after the second start with the flag still off.

   Options: -smp 2
   Expect: 1 0 0 1 2 */
#include "vitrine/hypercalls.h"
.include "tiny.inc"
.include "apic.inc"
.include "hypercalls.inc"
.set kOtherShared, kShared + 0x1000
.macro wait_for place, value
8:pause
  cmpl $\value, \place
  jne 8b
.endm
.macro send_to_other
  movl $(1 << 24), kApicIcrHigh
  movl $0x4060, kApicIcrLow
.endm
.section .text
main:
  set_gate 0x60, handler
  mov $kShared, %ebx
  hypercall VITRINE_CALL_SHARE
  start_other other
  wait_for step, 1
  send_to_other
  wait_for kOtherShared + VITRINE_SHARED_PENDING, 1
  print_hex kOtherShared + VITRINE_SHARED_PENDING, 1
  print_space
  print_hex kShared + VITRINE_SHARED_PENDING, 1
  print_space
  print_hex interrupts, 1
  print_space
  movl $2, step
  wait_for step, 3
  print_hex interrupts, 1
  print_space
  start_other again
  wait_for step, 4
  movl $0, kOtherShared + VITRINE_SHARED_ENABLED
  send_to_other
  wait_for interrupts, 2
  print_hex interrupts, 1
  ret
other:
  mov $kOtherShared, %ebx
  hypercall VITRINE_CALL_SHARE
  movl $0, kOtherShared + VITRINE_SHARED_ENABLED
  sti
  movl $1, step
  wait_for step, 2
  movl $1, kOtherShared + VITRINE_SHARED_ENABLED
  hypercall VITRINE_CALL_INTERRUPTS
  movl $3, step
  cli
1:hlt
  jmp 1b
again:
  sti
  movl $4, step
1:hlt
  jmp 1b
handler:
  lock incl interrupts
  movl $0, kApicEoi
  iret
.section .data
.align 4
step: .long 0
interrupts: .long 0
