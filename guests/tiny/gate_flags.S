/* An interrupt gate clears IF, a trap gate does not; both clear TF, NT and RF in the handler, and IRET brings back what was saved.
   SDM Vol. 3A, "Flag Usage By Exception- or Interrupt-Handler Procedure".

   Prints EFLAGS & 4300h in the handler of an interrupt gate, after it, in the handler of a trap gate, after it (IF 200h, TF 100h, NT 4000h).

   Expect: 0000 4200 0200 4200 */
.include "tiny.inc"
.section .text
.macro show
  pushf
  pop %eax
  and $0x4300, %eax
  print_hex %eax, 4
  print_space
.endm
main:
  set_gate 0x80, handler, 0xee
  set_gate 0x81, handler, 0xef
  mov $0xff, %al            /* nothing interrupts */
  out %al, $0x21
  out %al, $0xa1
  push $0x4202
  popf
  int $0x80
  show
  int $0x81
  show
  push $2
  popf
  ret
handler:
  show
  iret
