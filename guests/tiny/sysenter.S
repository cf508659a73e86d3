/* SYSENTER takes CS and SS from IA32_SYSENTER_CS, clears IF and VM; SYSEXIT goes to CS + 16 and SS + 24 at CPL 3 with EIP from EDX and ESP from ECX.
   A null IA32_SYSENTER_CS is #GP(0) for both, SYSEXIT at CPL 3 as well. SDM Vol. 2, "SYSENTER", "SYSEXIT".

   Prints: CS, SS and IF within, CS and SS outside, then the faults.

   Expect: 0008 0010 0000 001b 0023 0d:0000 0d:0000 */
.include "tiny.inc"
.section .text
.macro write_msr number, value
  mov $\number, %ecx
  mov $\value, %eax
  xor %edx, %edx
  wrmsr
.endm
.macro show_segment register
  mov %\register, %eax
  print_hex %eax, 4
  print_space
.endm
main:
  mov $0xff, %al
  out %al, $0x21
  out %al, $0xa1
  write_msr 0x174, kCode0
  write_msr 0x175, stack_top-256
  write_msr 0x176, entered
  try
  go_user user, 3
  tried
  write_msr 0x174, 0
  try
  go_user user_again, 3
  tried
  ret
user:
  sti
  sysenter
entered:
  show_segment cs
  show_segment ss
  pushf
  pop %eax
  and $0x200, %eax
  print_hex %eax, 4
  print_space
  mov $outside, %edx
  mov $user_stack_top, %ecx
  sysexit
outside:
  show_segment cs
  show_segment ss
  sysexit
user_again:
  sysenter
