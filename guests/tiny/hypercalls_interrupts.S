/* The interrupt flag in the shared page. An interrupt waits while it is off, though EFLAGS.IF is on, and is delivered by the call, not by the
   store that sets the flag. CLI, STI, POPF and IRET keep their meaning beside it: both flags have to be on. docs/hypercalls.md.

   Prints pending, then how many INC EBX were executed before the handler (f: there was none), for:
     flag off, interrupt waits; flag on, INC; INC; call
     call with the flag off: pending again; then on, and the call
     IF off, flag on, the call, INC, then STI: one instruction more (the shadow)
     flag off at POPF that sets IF: nothing; flag on, and the call
     flag off, IRET that sets IF: the same
     flag on, IF on: at once
     the halt call with both off: comes behind it
   and the time in the shared page: did it go on (1)?

   Expect: 0 1 2 1 1 0 0 2 1 0 1 0 0 0 0 1 */
#include "vitrine/hypercalls.h"
.include "tiny.inc"
.include "pic.inc"
.include "hypercalls.inc"
.section .text
.macro wait_request
  xor %ebx, %ebx
  movl $0xf, seen
1:mov $0x0a, %al            /* OCW3: read the request register */
  out %al, $0x20
  in $0x20, %al
  test $1, %al
  jz 1b
.endm
.macro flag value
  movl $\value, kShared + VITRINE_SHARED_ENABLED
.endm
.macro pending
  mov kShared + VITRINE_SHARED_PENDING, %esi
  print_hex %esi, 1
  print_space
.endm
.macro result
  print_hex seen, 1
  print_space
.endm
.macro interrupts
  hypercall VITRINE_CALL_INTERRUPTS
.endm
main:
  pic_init 0xfe, 0xff
  set_gate 0x20, tick
  mov $kShared, %ebx
  hypercall VITRINE_CALL_SHARE
  mov kShared + VITRINE_SHARED_TIME, %edi
  pending
  pit_rate 1193

  flag 0                    /* off; an interrupt comes; on; the call */
  sti
  wait_request
  pending
  flag 1
  inc %ebx
  inc %ebx
  interrupts
  result

  flag 0                    /* the call with the flag off */
  wait_request
  interrupts
  nop
  pending
  inc %ebx
  flag 1
  interrupts
  result

  pending                   /* IF off */
  cli
  wait_request
  flag 0
  flag 1
  interrupts
  pending
  inc %ebx
  sti
  inc %ebx
  inc %ebx
  result

  cli                       /* POPF */
  wait_request
  flag 0
  push $0x202
  popf
  nop
  pending
  flag 1
  interrupts
  result

  cli                       /* IRET */
  wait_request
  flag 0
  push $0x202
  push $kCode0
  push $1f
  iret
1:nop
  pending
  flag 1
  interrupts
  result

  cli                       /* both on */
  wait_request
  push $0x202
  popf
  inc %ebx
  result
  pending

  cli                       /* halt */
  flag 0
  movl $0xf, seen
  xor %ebx, %ebx
  hypercall VITRINE_CALL_HALT
  inc %ebx
  cli
  result

  xor %ecx, %ecx
  cmp kShared + VITRINE_SHARED_TIME, %edi
  setne %cl
  print_hex %ecx, 1
  ret
tick:
  mov %ebx, seen
  push %eax
  movb $0x20, %al
  out %al, $0x20
  pop %eax
  iret
.section .data
seen: .long 0
