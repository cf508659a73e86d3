/* Loads of FS and GS that change between two segments, as at a kernel's door, in loops, so that they become what frequent code becomes: FS between a
   segment with base 10h and the null selector, GS between one with base 20h and a limit of seven bytes and the flat one, by MOV and by POP. Then the
   descriptor changes under a selector that is known. SDM Vol. 3A, "Segment Selectors"; Vol. 2B, "MOV", "POP"; "VERW" sets ZF alone; AH at an address
   that is relative to ESP.

   Prints: what FS reads in the last round, the selectors in FS and GS, the exceptions of a read through the null selector and of one beyond the limit; what
   GS reads; the same for FS after its descriptor has got base 20h, and the exception of a load after it is not present; the flags that VERW leaves of
   CF, PF, AF, SF, OF when all and when none is set, for a segment that can be written to, with ZF; the same for one that cannot; AH as it comes back.

   TCG: segment limits, and the null selector, are not checked
   Expect: 1 0038 0040 0d:0000 0d:0000 2 3 0b:0038 8d5 040 895 000 5a */
.include "tiny.inc"
.set kLimited, kFree + 8
.section .text
main:
  set_segment kFree, 0, 0xfffff, 0x93, 0xc
  set_base kFree, numbers + 0x10
  set_segment kLimited, 0, 7, 0x93, 4
  set_base kLimited, numbers + 0x20
  mov $20, %ecx
1:xor %eax, %eax
  mov %eax, %fs
  mov $kData0, %eax
  mov %eax, %gs
  mov $kFree, %eax
  mov %eax, %fs
  push $kLimited
  pop %gs
  mov %fs:0, %ebx
  mov %gs:0, %edx
  push $0
  pop %fs
  push $kData0
  pop %gs
  mov %gs:numbers, %esi
  push $kFree
  pop %fs
  mov $kLimited, %eax
  mov %eax, %gs
  loop 1b
  print_hex %ebx, 1
  print_space
  mov %fs, %eax
  print_hex %eax, 4
  print_space
  mov %gs, %eax
  print_hex %eax, 4
  print_space
  xor %eax, %eax
  mov %eax, %fs
  try
  mov %fs:0, %ebx
  tried
  mov $kLimited, %eax          /* whoever reports an exception makes all of them flat */
  mov %eax, %gs
  try
  mov %gs:8, %ebx
  tried
  print_hex %edx, 1
  print_space
  set_base kFree, numbers + 0x30
  mov $kFree, %eax
  mov %eax, %fs
  mov %fs:0, %ebx
  print_hex %ebx, 1
  print_space
  set_segment kFree, 0, 0xfffff, 0x13, 0xc
  try
  mov %eax, %fs
  tried
  mov $20, %ecx
2:call verify
  loop 2b
  print_hex %esi, 3
  print_space
  print_hex %edi, 3
  print_space
  movw $kCode0, selector
  call verify
  print_hex %esi, 3
  print_space
  print_hex %edi, 3
  print_space
  /* AH by way of the stack. */
  push $0
  mov $0x5a00, %eax
  mov %ah, 1(%esp)
  xor %eax, %eax
  mov 1(%esp), %ah
  pop %ecx
  shr $8, %eax
  print_hex %eax, 2
  ret
/* VERW of the selector at `selector`, through CS, with all arithmetic flags but ZF set, then with none: they are in ESI and EDI. */
verify:
  push $0x895
  popf
  verw %cs:selector
  pushf
  pop %esi
  push $0
  popf
  verw %cs:selector
  pushf
  pop %edi
  and $0x8d5, %esi
  and $0x8d5, %edi
  ret
.section .data
.balign 16
numbers: .long 0
  .balign 16
  .long 1
  .balign 16
  .long 2
  .balign 16
  .long 3
selector: .word kData0
