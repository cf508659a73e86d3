/* Limits and types of data segments: beyond the limit, an access that straddles it, an expand-down segment, a read-only one, a null one,
   the stack. SDM Vol. 3A, "Limit Checking", "Type Checking".

   Prints, in this order: within (nothing), beyond, straddling, below an expand-down segment, read-only, null, stack.

   TCG: checks neither limits nor types of data accesses
   Expect: 0d:0000 0d:0000 0d:0000 0d:0000 0d:0000 0c:0000 */
.include "tiny.inc"
.section .text
.macro load_fs high, low
  movl $\low, gdt + kFree
  movl $\high, gdt + kFree + 4
  mov $kFree, %eax
  mov %eax, %fs
.endm
main:
  try
  load_fs 0x00409200, 0x00000fff
  mov %fs:0xffc, %eax
  mov %fs:0x1000, %eax
  tried
  try
  load_fs 0x00409200, 0x00000fff
  mov %fs:0xffd, %eax
  tried
  try
  load_fs 0x00409600, 0x00000fff
  mov %fs:0x1000, %eax
  mov %fs:0xfff, %al
  tried
  try
  load_fs 0x00409000, 0x00000fff
  mov %eax, %fs:0
  tried
  try
  xor %eax, %eax
  mov %eax, %fs
  mov %fs:0, %eax
  tried
  try
  load_fs 0x00cf9200, 0x0000ffff
  movl $0x00001000, gdt + kFree
  movl $0x00409600, gdt + kFree + 4
  mov %esp, %ebp
  mov $kFree, %eax
  mov %eax, %ss
  mov %ss:0x1000, %al       /* at the limit, so below the segment */
  tried
  mov $kData0, %eax
  mov %eax, %ss
  ret
