/* A load of a segment register reads the descriptor again, even when the selector is the one that is loaded already: DS and ES with a selector whose
   descriptor has meanwhile another base, is not present, or is another's (LGDT). Each load stands in a loop, so that it has become what frequent code
   becomes. SDM Vol. 3A, "Segment Selectors"; Vol. 2B, "MOV", "POP".

   Prints: what is read through DS and ES with bases 0 and 10h, by MOV and by POP; the exception of the load that finds the descriptor not present;
   what is read behind LGDT of a table in which the selector has base 20h.

   Expect: 0 0 1 1 0b:0038 2 */
.include "tiny.inc"
.section .text
.macro base_is base
  set_segment kFree, \base, 0xfffff, 0x93, 0xc
.endm
/* Eight loads that change nothing, then one more. */
.macro load_ds
  mov $9, %ecx
1:mov $kFree, %eax
  mov %eax, %ds
  loop 1b
.endm
.macro load_es
  mov $9, %ecx
1:push $kFree
  pop %es
  loop 1b
.endm
.macro show segment
  mov %\segment:numbers, %ebx
  mov %ss, %eax
  mov %eax, %ds
  mov %eax, %es
  print_hex %ebx, 1
  print_space
.endm
main:
  base_is 0
  load_ds
  show ds
  load_es
  show es
  mov $kFree, %eax
  mov %eax, %ds
  mov %eax, %es
  call rebase
  mov %eax, %ds
  show ds
  mov $kFree, %eax
  mov %eax, %es
  call unbase
  push $kFree
  pop %es
  call rebase
  push $kFree
  pop %es
  show es
  base_is 0
  load_ds
  set_segment kFree, 0, 0xfffff, 0x13, 0xc
  try
  mov %eax, %ds
  tried
  base_is 0
  load_ds
  mov $gdt, %esi
  mov $other_gdt, %edi
  mov $(gdt_end - gdt), %ecx
  rep movsb
  movw $numbers_behind, other_gdt + kFree + 2
  lgdt other_register
  mov $kFree, %eax
  mov %eax, %ds
  show ds
  lgdt gdt_register
  ret
/* Called with DS and ES flat or nearly: stores by way of SS. */
rebase:
  movw $0x10, %ss:gdt + kFree + 2
  ret
unbase:
  movw $0, %ss:gdt + kFree + 2
  ret
.section .data
.set numbers_behind, 0x20
.balign 16
numbers: .long 0
  .balign 16
  .long 1
  .balign 16
  .long 2
other_register: .word gdt_end - gdt - 1
  .long other_gdt
other_gdt: .fill 128, 1, 0
