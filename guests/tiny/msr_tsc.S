/* RDMSR and WRMSR of a number that does not exist are #GP(0), and so is a reserved bit of one that does; RDTSC obeys CR4.TSD only above CPL 0; CR4 and CR0
   refuse what is reserved or contradictory (PG without PE, NW without CD). SDM Vol. 2, "RDMSR", "WRMSR", "RDTSC"; Vol. 3A, "Control Registers".

   TCG: ignores unknown registers and reserved bits
   Expect: 0d:0000 0d:0000 0d:0000 80:0000 0d:0000 0d:0000 0d:0000 0d:0000 1 */
.include "tiny.inc"
.section .text
main:
  try
  mov $0x40001234, %ecx
  rdmsr
  tried
  try
  mov $0x40001234, %ecx
  wrmsr
  tried
  try
  mov $0xc0000080, %ecx
  mov $0x200, %eax
  mov $0x80000000, %edx
  wrmsr
  tried
  try
  go_user read_time
  tried
  mov %cr4, %eax
  or $4, %eax
  mov %eax, %cr4
  try
  go_user read_time
  tried
  try
  mov $0x80000000, %eax
  mov %eax, %cr0
  tried
  try
  mov %cr0, %eax
  and $0xbfffffff, %eax
  or $0x20000000, %eax
  mov %eax, %cr0
  tried
  try
  mov $0x80000000, %eax
  mov %eax, %cr4
  tried
  rdtsc
  mov %eax, %esi
  mov %edx, %edi
  mov $1000, %ecx
1:loop 1b
  rdtsc
  sub %esi, %eax
  sbb %edi, %edx
  setnc %cl
  movzbl %cl, %ecx
  print_hex %ecx, 1
  ret
read_time:
  rdtsc
  int $0x80
