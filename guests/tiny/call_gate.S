/* A 32-bit call gate from CPL 3 to CPL 0: two parameters are copied, the stack is that of the TSS, RET 8 releases the parameters on both
   stacks and takes data segments of the inner level away. SDM Vol. 3A, "Call Gates", "Stack Switching".

   Prints: CPL and the parameters inside; CPL, GS and the movement of ESP outside; INT 80h ends it.

   Expect: 0 1111 2222 3 0000 0000 80:0000 */
.include "tiny.inc"
.section .text
main:
  mov $inner, %eax
  mov %ax, gdt + kFree
  movw $kCode0, gdt + kFree + 2
  movw $0xec02, gdt + kFree + 4
  shr $16, %eax
  mov %ax, gdt + kFree + 6
  try
  go_user outer, 3
  tried
  ret

inner:
  mov %cs, %ecx
  and $3, %ecx
  print_hex %ecx, 1
  print_char ' '
  mov %esp, %ebp
  print_hex 12(%ebp), 4
  print_char ' '
  print_hex 8(%ebp), 4
  print_char ' '
  mov $kData0, %eax
  mov %eax, %gs
  lret $8

outer:
  mov %esp, %esi
  push $0x1111
  push $0x2222
  lcall $kFree, $0
  mov %cs, %ecx
  and $3, %ecx
  print_hex %ecx, 1
  print_char ' '
  mov %gs, %ecx
  print_hex %ecx, 4
  print_char ' '
  sub %esp, %esi
  print_hex %esi, 4
  print_char ' '
  int $0x80
