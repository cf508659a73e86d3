/* IN and OUT at CPL 3 with IOPL 0 look at the I/O permission bitmap of the TSS: every bit of a wide access, ports beyond the TSS's limit are
   denied, a bitmap base beyond the limit denies all; with IOPL 3 nothing is looked at. SDM Vol. 1, "I/O Permission Bit Map".

   Prints `a` for each allowed access (to the debug port's neighbourhood), else the fault.

   Expect: a80:0000 0d:0000 a80:0000 0d:0000 0d:0000 a80:0000 */
.include "tiny.inc"
.section .text
.macro case label, iopl
  try
  go_user \label, \iopl
  tried
.endm
main:
  andb $0xfd, tss + 0x68 + 0xe9 / 8       /* E9h */
  case byte, 0
  case word, 0
  andb $0xfc, tss + 0x68 + 0xeb / 8       /* EAh, EBh too: not ECh */
  andb $0xf1, tss + 0x68 + 0xe9 / 8
  case word, 0
  case beyond, 0
  movw $0xdfff, tss + 0x66
  case byte, 0
  case byte, 3
  ret
byte:
  mov $'a', %al
  out %al, $0xe9
  int $0x80
word:
  in $0xea, %ax
  mov $'a', %al
  out %al, $0xe9
  int $0x80
beyond:
  mov $0x400, %edx
  in (%dx), %al
  int $0x80
