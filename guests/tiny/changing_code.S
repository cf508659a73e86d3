/* A store into the instructions ahead takes effect with the next of them: in the same block, in another page, through another linear address of the
   same page, an instruction across two pages, and code that a string instruction writes. (P6 and later snoop their own prefetch by physical
   address.) SDM Vol. 3A, "Handling Self- and Cross-Modifying Code".

   Expect: 02 03 04 05 06 */
.include "tiny.inc"
.include "paging.inc"
.section .text
main:
  paging_on
  xor %eax, %eax
  movb $2, 1f + 1
1:mov $1, %al
  print_hex %eax, 2
  print_space
  map 0, kFrame | 3
  map 1, kFrame | 3
  map 2, (kFrame + 0x1000) | 3
  movl $0x90c301b0, kHigh + 16        /* mov $1, %al; ret */
  mov $kHigh + 16, %ebx
  call *%ebx
  movb $3, kHigh + 17
  call *%ebx
  print_hex %eax, 2
  print_space
  movb $4, kHigh + 0x1011             /* the alias */
  call *%ebx
  print_hex %eax, 2
  print_space
  movw $0x01b0, kHigh + 0x1fff        /* the opcode in one page, the operand in the next */
  movb $0xc3, kHigh + 0x2001
  mov $kHigh + 0x1fff, %ebx
  call *%ebx
  movb $5, kHigh + 0x2000
  call *%ebx
  print_hex %eax, 2
  print_space
  mov $kHigh + 0x2000, %edi
  mov $6, %al
  mov $1, %ecx
  rep stosb
  xor %eax, %eax
  call *%ebx
  print_hex %eax, 2
  ret
