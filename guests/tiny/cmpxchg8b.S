/* CMPXCHG8B: equal, ZF and the new value; different, EDX:EAX takes the old one and memory is written back (a read-only page faults either way); with a register
   operand #UD, with LOCK before a register #UD too; the other flags stay. SDM Vol. 2, "CMPXCHG8B".

   Prints: ZF and the memory's low half; ZF, EDX, EAX; the other arithmetic flags; the faults: read-only page, register, register with LOCK.

   Expect: 1 55667788 0 11223344 55667788 895 0e:0003 06:0000 06:0000 */
.include "tiny.inc"
.include "paging.inc"
.section .text
main:
  paging_on
  map 0, kFrame | 1
  mov $1, %eax
  mov $2, %edx
  mov $0x55667788, %ebx
  mov $0x11223344, %ecx
  lock cmpxchg8b value
  setz %al
  print_hex %eax, 1
  print_space
  print_hex value, 8
  print_space
  mov $1, %eax
  mov $2, %edx
  push $0x8d7                 /* all arithmetic flags */
  popf
  cmpxchg8b value
  pushf
  setz %cl
  print_hex %ecx, 1
  print_space
  print_hex %edx, 8
  print_space
  print_hex %eax, 8
  print_space
  pop %ecx
  and $0x8d5, %ecx
  print_hex %ecx, 3
  print_space
  try
  xor %eax, %eax
  dec %eax
  cmpxchg8b kHigh             /* not equal */
  tried
  try
  .byte 0x0f, 0xc7, 0xc8      /* EAX */
  tried
  try
  .byte 0xf0, 0x0f, 0xc7, 0xc8
  tried
  ret
.section .data
.align 8
value: .long 1, 2
