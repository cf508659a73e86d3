/* Every privileged instruction at CPL 3 is #GP(0), before anything else about it is looked at; undefined ones stay #UD.
   SDM Vol. 3A, "Privileged Instructions".

   Expect: 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 06:0000 */
.include "tiny.inc"
.section .text
.macro privileged instruction:vararg
  try
  go_user 8f
8:\instruction
  tried
.endm
main:
  privileged hlt
  privileged cli
  privileged sti
  privileged clts
  privileged mov %cr0, %eax
  privileged mov %eax, %cr3
  privileged mov %dr7, %eax
  privileged lgdt gdt_register
  privileged lidt idt_register
  privileged lmsw %ax
  privileged invlpg (%eax)
  privileged in $0x60, %al
  privileged wbinvd
  privileged ud2
  ret
