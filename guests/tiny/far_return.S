/* RET to an outer level with a parameter count releases the parameters on the inner stack before it reads SS:ESP and on the outer stack after; the
   selector's RPL decides about the level; RET inward is #GP; a null SS, an SS of another level, an absent SS (#SS), a null CS are refused with the
   state as it was. SDM Vol. 2, "RET"; Vol. 3A, "Returning from a Called Procedure".

   Prints: the faults of RET with a null SS, SS of level 0, an absent SS, a null CS, a CS of level 0 with RPL 3, and ESP's distance from before after the
   last of them; CPL and ESP's movement outside after RET 8; the fault of RET inward.

   TCG: reports an absent SS as #NP
   Expect: 0d:0000 0d:0010 0c:0038 0d:0000 0d:0008 00 3 0008 0d:0008 */
.include "tiny.inc"
.section .text
.macro return_to ss, cs, release=0
  push $\ss
  push $user_stack_top - 64
  .if \release
    push $0x1111
    push $0x2222
  .endif
  push $\cs
  push $outside
.endm
.macro try_return ss, cs
  try
  return_to \ss, \cs
  mov %esp, %ebp
  lret
  tried
.endm
main:
  set_segment kFree, 0, 0xfffff, 0x72, 0xc    /* data of level 3, absent */
  set_gate 13, keep_distance
  set_gate 12, keep_distance
  try_return 0, kCode3
  try_return 0x13, kCode3
  try_return kFree + 3, kCode3
  try_return kData3, 0
  try_return kData3, 0x0b
  print_hex distance, 2
  print_space
  try
  mov %esp, tss + 4
  set_gate 13, "stubs+13*16"
  push $0x3002                /* IOPL 3 */
  popf
  return_to kData3, kCode3, 8
  lret $8
  tried
  ret
keep_distance:                /* of the fault's frame from the ESP of the RET: 16 bytes with the error code */
  mov %ebp, %ecx
  sub %esp, %ecx
  sub $16, %ecx
  mov %ecx, distance
  cmpl $0x38, (%esp)
  je 1f
  push $13
  jmp report
1:push $12
  jmp report
outside:
  mov $kData3, %eax
  mov %eax, %ds
  mov %cs, %ecx
  and $3, %ecx
  print_hex %ecx, 1
  print_space
  mov %esp, %ecx
  sub $user_stack_top - 64, %ecx
  print_hex %ecx, 4
  print_space
  push $0x08
  push $outside
  lret
.section .data
distance: .long 0
