/* Error codes of page faults, CR2, accessed and dirty bits, CR0.WP. SDM Vol. 3A, "Page-Fault Exceptions", "Accessed and Dirty Flags".

   Expect: 0e:0000 0e:0002 0e:0004 0e:0005 0e:0007 0e:0003 00401123 021 061 */
.include "tiny.inc"
.section .text
.set kRead, 0x400000        /* absent */
.set kSystem, 0x401000      /* supervisor, read-only */
.set kUser, 0x402000        /* user, read-only */
.set kFresh, 0x403000       /* supervisor, writable, never touched */
main:
  mov $directory, %edi
  mov $low_table, %eax
  or $7, %eax
  mov %eax, (%edi)
  mov $high_table, %eax
  or $7, %eax
  mov %eax, 4(%edi)
  mov $low_table, %edi
  mov $7, %eax
  mov $1024, %ecx
1:stosl
  add $4096, %eax
  loop 1b
  movl $0x200001, high_table + 4
  movl $0x200005, high_table + 8
  movl $0x200003, high_table + 12
  mov $directory, %eax
  mov %eax, %cr3
  mov %cr0, %eax
  or $0x80000000, %eax
  mov %eax, %cr0
  jmp 2f
2:
  try
  mov kRead, %eax
  tried
  try
  mov %eax, kRead
  tried
  try
  go_user user_absent
  tried
  try
  go_user user_system
  tried
  try
  go_user user_write
  tried
  mov %eax, kSystem         /* WP is clear: allowed */
  mov %cr0, %eax
  or $0x10000, %eax
  mov %eax, %cr0
  try
  mov %eax, kSystem + 0x123
  tried
  mov %cr2, %eax
  print_hex %eax, 8
  print_char ' '
  mov kFresh, %eax
  mov high_table + 12, %eax
  and $0xff0, %eax
  or $1, %eax
  print_hex %eax, 3
  print_char ' '
  mov %eax, kFresh
  mov high_table + 12, %eax
  and $0xff0, %eax
  or $1, %eax
  print_hex %eax, 3
  ret
user_absent:
  mov kRead, %eax
user_system:
  mov kSystem, %eax
user_write:
  mov %eax, kUser
.section .bss
.align 4096
directory: .skip 4096
low_table: .skip 4096
high_table: .skip 4096
