/* INT n, INT3, INTO, BOUND and INT1: what is saved as EIP (behind INT, INT3, INTO, INT1; at BOUND, a fault) and RF in the image (set by the fault only); INTO
   without OF and BOUND within its bounds do nothing; BOUND compares signed, both ends included; a gate with DPL 0 is #GP for INT, INT3 and INTO
   at CPL 3, and is entered by INT1 and BOUND. BOUND with a register is #UD. SDM Vol. 2, "INT n/INTO/INT3/INT1", "BOUND".

   Prints vector, EIP's distance from the instruction, RF, for INT 40h, INT3, INT 3 in two bytes, INTO, INT1, BOUND above, BOUND below; then the faults at CPL 3.

   TCG: leaves RF clear
   Expect: 40/2/0 03/1/0 03/2/0 04/1/0 01/1/0 05/0/1 05/0/1 06:0000 0d:0202 0d:001a 0d:0022 01:0000 05:0000 */
.include "tiny.inc"
.section .text
.macro show_vector number
  set_gate \number, at_\number
.endm
.macro handler number
at_\number:
  movl $\number, taken
  jmp seen
.endm
.macro run instruction:vararg
  movl $1f, start
1:\instruction
2:
.endm
main:
  show_vector 0x40
  show_vector 3
  show_vector 4
  show_vector 1
  show_vector 5
  run int $0x40
  run int3
  run .byte 0xcd, 3
  xor %eax, %eax
  run into
  mov $0x7fffffff, %eax
  add $1, %eax
  run into
  run .byte 0xf1
  mov $-5, %eax
  run bound %eax, bounds
  mov $7, %eax
  run bound %eax, bounds
  mov $8, %eax
  run bound %eax, bounds
  mov $-6, %eax
  run bound %eax, bounds
  set_gate 3, "stubs+3*16", 0x8e
  set_gate 4, "stubs+4*16", 0x8e
  set_gate 1, "stubs+1*16", 0x8e
  set_gate 5, "stubs+5*16", 0x8e
  set_gate 0x40, "stubs+0x40*16", 0x8e
  try
  .byte 0x62, 0xc0
  tried
  try
  go_user user_int
  tried
  try
  go_user user_int3
  tried
  try
  go_user user_into
  tried
  try
  go_user user_int1
  tried
  try
  go_user user_bound
  tried
  ret
handler 0x40
handler 3
handler 4
handler 1
handler 5
seen:
  print_hex taken, 2
  print_char '/'
  mov (%esp), %ecx
  sub start, %ecx
  print_hex %ecx, 1
  print_char '/'
  mov 8(%esp), %ecx
  shr $16, %ecx
  and $1, %ecx
  print_hex %ecx, 1
  print_space
  cmpl $5, taken
  jne 1f
  addl $6, (%esp)             /* BOUND EAX, m: past it */
1:iret
user_int:
  int $0x40
user_int3:
  int3
user_into:
  mov $0x7fffffff, %eax
  add $1, %eax
  into
user_int1:
  .byte 0xf1
user_bound:
  mov $8, %eax
  bound %eax, bounds
.section .data
bounds: .long -5, 7
taken: .long 0
start: .long 0
