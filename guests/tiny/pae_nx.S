/* PAE paging: four directory pointers loaded with CR3 (a reserved bit in them is #GP(0) at the load), 2 MiB pages, and with EFER.NXE execute-disable,
   whose fault has the I/D bit; without NXE bit 63 is reserved. SDM Vol. 3A, "PAE Paging", "Page-Fault Exceptions".

   Prints: a word through the second 2 MiB page, a fetch from a page with bit 63 set, without NXE and with it, CR3 with bad pointers.

   TCG: leaves P clear in the error code of a reserved bit, and does not look at the pointers
   Expect: cafe 0e:0009 0e:0011 00600000 0d:0000 */
.include "tiny.inc"
.section .text
.set kPointers, 0x300000
.set kDirectory, 0x301000
main:
  movw $0xcafe, 0x201234
  movb $0xc3, 0x200000
  mov $kPointers, %edi
  xor %eax, %eax
  mov $0x800, %ecx
  rep stosl
  movl $(kDirectory | 1), kPointers
  movl $0x000083, kDirectory          /* 0 and 200000h onto themselves */
  movl $0x200083, kDirectory + 8
  movl $0x200083, kDirectory + 16     /* 400000h onto 200000h */
  movl $0x200083, kDirectory + 24     /* 600000h likewise, not to be executed */
  movl $0x80000000, kDirectory + 28
  mov %cr4, %eax
  or $0x30, %eax
  mov %eax, %cr4
  mov $kPointers, %eax
  mov %eax, %cr3
  mov %cr0, %eax
  or $0x80000000, %eax
  mov %eax, %cr0
  mov 0x401234, %ax
  print_hex %eax, 4
  print_space
  mov $0x400000, %eax
  call *%eax
  try
  mov 0x600000, %al
  tried
  mov $0xc0000080, %ecx
  rdmsr
  or $0x800, %eax
  wrmsr
  mov 0x600000, %al
  try
  mov $0x600000, %eax
  call *%eax
  tried
  mov %cr2, %eax
  print_hex %eax, 8
  print_space
  movl $0x2, kPointers + 0x20         /* absent: ignored */
  movl $0x3, kPointers + 0x28         /* present with a reserved bit */
  try
  mov $kPointers + 0x20, %eax
  mov %eax, %cr3
  tried
  ret
