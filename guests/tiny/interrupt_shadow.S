/* An interrupt that waits is taken one instruction after STI that sets IF, not at once; at once
   behind POPF. SDM Vol. 3A, "Masking Exceptions and Interrupts When Switching
   Stacks"; Vol. 2, "STI".

   The PIT's request is pending each time. Prints how many INC EBX were executed before the handler: STI; POPF; then STI CLI, which
   lets nothing through (f).

   Expect: 1 0 f */
.include "tiny.inc"
.include "pic.inc"
.section .text
.macro wait_request
  xor %ebx, %ebx
1:mov $0x0a, %al            /* OCW3: read the request register */
  out %al, $0x20
  in $0x20, %al
  test $1, %al
  jz 1b
.endm
.macro result
  cli
  print_hex seen, 1
  print_space
.endm
main:
  pic_init 0xfe, 0xff
  set_gate 0x20, tick
  pit_rate 1193
  wait_request
  sti
  inc %ebx
  inc %ebx
  inc %ebx
  result
  wait_request
  push $0x202
  popf
  inc %ebx
  inc %ebx
  result
  movl $0xf, seen
  wait_request
  sti
  cli
  inc %ebx
  result
  ret
tick:
  mov %ebx, seen
  movb $0x20, %al
  out %al, $0x20
  iret
.section .data
seen: .long 0
