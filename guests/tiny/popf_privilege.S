/* POPF and IRET change only what the privilege level allows: at CPL 3 IOPL never, IF only with CPL <= IOPL, VIP, VIF and VM never by POPF. Undefined
   bits read as hard-wired (bit 1 set). SDM Vol. 2, "POPF", "PUSHF".

   Prints EFLAGS & 3F3200h after POPF of all ones without TF: at CPL 3 with IOPL 0, at CPL 3 with IOPL 3, at CPL 0 (RF and VM stay clear).

   Expect: 00240000 80:0000 00243200 80:0000 00243200 */
.include "tiny.inc"
.section .text
.macro pop_all
  push $0xfffffeff
  popf
  pushf
  pop %eax
  and $0x3f3200, %eax
  print_hex %eax, 8
  print_space
.endm
main:
  mov $0xff, %al
  out %al, $0x21
  out %al, $0xa1
  andb $0xfd, tss + 0x68 + 0xe9 / 8
  try
  go_user user, 0
  tried
  try
  go_user user, 3
  tried
  pop_all
  push $2
  popf
  ret
user:
  pop_all
  int $0x80
