/* CR0.WP and user rights through large pages: 4 MiB with PSE and 2 MiB with PAE: a read-only one refuses CPL 0 only with WP; U/S and R/W are the AND over both levels; D and
   A are set in the directory entry; PAE table entries of 4 KiB work beside them; reserved bits 13 to 20 of a 2 MiB entry are #PF with RSVD.
   SDM Vol. 3A, "32-Bit Paging", "PAE Paging", "Access Rights".

   Prints: PSE: a write without WP (-), with it, at CPL 3, the entry; PAE: a word through a 4 KiB page, a write to a read-only 2 MiB page, a read-only
   directory entry above a writable table entry, the reserved bit, the entry's low bits after a write.

   TCG: leaves P clear in the error code of a reserved bit
   Expect: - 0e:0003 0e:0005 0e1 beef 0e:0003 0e:0003 0e:0009 0e3 */
.include "tiny.inc"
.include "paging.inc"
.section .text
.set kPointers, 0x203000
.set kPaeDirectory, 0x204000
.set kPaeTable, 0x205000
main:
  mov %cr4, %eax
  or $0x10, %eax
  mov %eax, %cr4
  paging_on
  movl $0x400081, kDirectory + 8      /* 800000h: read-only, supervisor */
  mov %cr0, %eax
  and $~0x10000, %eax
  mov %eax, %cr0
  try
  mov %al, 0x801234
  print_char '-'
  print_space
  tried
  mov %cr0, %eax
  or $0x10000, %eax
  mov %eax, %cr0
  try
  mov %al, 0x801234
  tried
  try
  go_user user
  tried
  mov kDirectory + 8, %eax
  print_hex %eax, 3
  print_space

  mov %cr0, %eax
  and $0x7fffffff, %eax
  mov %eax, %cr0
  mov %cr4, %eax
  or $0x20, %eax
  mov %eax, %cr4
  mov $kPointers, %edi
  xor %eax, %eax
  mov $0x3000 / 4, %ecx
  rep stosl
  movl $(kPaeDirectory | 1), kPointers
  movl $0x83, kPaeDirectory               /* 0 */
  movl $0x200083, kPaeDirectory + 8       /* 200000h */
  movl $0x400081, kPaeDirectory + 16      /* 400000h, read-only */
  movl $(kPaeTable | 3), kPaeDirectory + 24   /* 600000h: 4 KiB pages */
  movl $(kPaeTable | 1), kPaeDirectory + 32   /* 800000h: the same, read-only */
  movl $0x402083, kPaeDirectory + 40      /* A00000h, bit 13 */
  movl $0x400083, kPaeDirectory + 48      /* C00000h */
  movl $(kFrame | 3), kPaeTable
  movw $0xbeef, kFrame + 0x10
  mov $kPointers, %eax
  mov %eax, %cr3
  mov %cr0, %eax
  or $0x80010000, %eax
  mov %eax, %cr0
  mov 0x600010, %ax
  print_hex %eax, 4
  print_space
  try
  mov %al, 0x400000
  tried
  try
  mov %al, 0x800000
  tried
  try
  mov 0xa00000, %al
  tried
  mov %al, 0xc00000
  mov kPaeDirectory + 48, %eax
  print_hex %eax, 3
  ret
user:
  mov 0x801234, %al
