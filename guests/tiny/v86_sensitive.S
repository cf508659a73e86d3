/* What virtual-8086 mode does with instructions that need privilege: with IOPL below 3, CLI, STI, PUSHF, POPF, INT n and IRET are #GP(0), INT3
   goes through the IDT; with IOPL 3 they run, and INT n needs a gate of DPL 3 to a nonconforming segment of DPL 0. HLT and MOV CR0 are #GP
   always, LLDT and other instructions of protected mode #UD; I/O asks the bitmap whatever IOPL is. SDM Vol. 3A, "Sensitive Instructions",
   "Virtual-8086 Mode I/O", "Class 3—Software Interrupt Handling in Virtual-8086 Mode".

   TCG: does not check the limit that a word at FFFFh crosses
   Expect: 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 03:0000 0d:0000 0d:0000 06:0000 0d:0000 21:0000 0d:010a 0d:0000 22:0000 */
.include "tiny.inc"
.include "v86.inc"
main:
  movb $0x8e, idt + 0x21 * 8 + 5
  v86_try v_cli, 0
  v86_try v_sti, 0
  v86_try v_pushf, 0
  v86_try v_popf, 0
  v86_try v_int, 0
  v86_try v_int3, 0
  v86_try v_hlt, 3
  v86_try v_cr0, 3
  v86_try v_lldt, 3
  v86_try v_in, 3
  movb $0xee, idt + 0x21 * 8 + 5
  v86_try v_int, 3
  movb $0x8e, idt + 0x21 * 8 + 5
  v86_try v_int, 3
  v86_try v_limit, 3
  v86_try v_free, 3
  ret
.code16
v_cli:
  cli
v_sti:
  sti
v_pushf:
  pushf
v_popf:
  popf
v_int:
  int $0x21
v_int3:
  int3
v_hlt:
  hlt
v_cr0:
  mov %cr0, %eax
v_lldt:
  lldt %ax
v_in:
  in $0x60, %al
v_limit:
  mov 0xffff, %ax          /* a word that straddles the end of the segment */
v_free:
  cli
  sti
  pushf
  popf
  int $0x22
.code32
