/* What virtual-8086 mode does with instructions that need privilege: with IOPL below 3, CLI, STI, PUSHF, POPF, INT n and IRET are #GP(0), INT3
   goes through the IDT; with IOPL 3 they run, and INT n needs a gate of DPL 3 to a nonconforming segment of DPL 0. HLT and MOV CR0 are #GP
   always, LLDT and other instructions of protected mode #UD; I/O asks the bitmap whatever IOPL is. SDM Vol. 3A, "Sensitive Instructions",
   "Virtual-8086 Mode I/O", "Class 3—Software Interrupt Handling in Virtual-8086 Mode".

   Expect: 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 03:0000 0d:0000 0d:0000 06:0000 0d:0000 21:0000 0d:010a 0d:0000 22:0000 */
.include "tiny.inc"
.include "v86.inc"
main:
  movb $0x8e, idt + 0x21 * 8 + 5
  v86_try 1f, 0
  v86_try 2f, 0
  v86_try 3f, 0
  v86_try 4f, 0
  v86_try 5f, 0
  v86_try 6f, 0
  v86_try 7f, 3
  v86_try 8f, 3
  v86_try 9f, 3
  v86_try 10f, 3
  movb $0xee, idt + 0x21 * 8 + 5
  v86_try 5f, 3
  movb $0x8e, idt + 0x21 * 8 + 5
  v86_try 5f, 3
  v86_try 11f, 3
  v86_try 12f, 3
  ret
.code16
1:cli
2:sti
3:pushf
4:popf
5:int $0x21
6:int3
7:hlt
8:mov %cr0, %eax
9:lldt %ax
10:in $0x60, %al
11:mov 0xffff, %ax          /* a word that straddles the end of the segment */
12:cli
  sti
  pushf
  popf
  int $0x22
.code32
