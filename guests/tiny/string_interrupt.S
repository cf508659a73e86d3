/* A long REP is interrupted between iterations: the saved EIP is that of the instruction, ECX and EDI are those reached, and IRET goes on. A REP whose
   count is 0 does nothing, not even touch memory. SDM Vol. 2, "REP/REPE/REPZ/REPNE/REPNZ".

   Prints: whether EIP was at the REP and EDI + ECX * 4 right for an interrupt within it, ECX at the end, then the double words that are filled.

   Expect: 1 00000000 00040000 none */
.include "tiny.inc"
.include "pic.inc"
.set kArea, 0x400000
.set kCount, 0x40000
.section .text
main:
  pic_init 0xfe, 0xff
  set_gate 0x20, tick
  pit_rate 600               /* every half a millisecond, so that a slow host gets on in between */
1:mov $kArea, %edi          /* until an interrupt has met it */
  mov $kCount, %ecx
  mov $0x5aa5, %eax
  sti
  nop
interrupted:
  rep stosl
  cli
  cmpl $0, good
  je 1b
  print_hex good, 1
  print_space
  print_hex %ecx, 8
  print_space
  mov $kArea, %edi
  mov $kCount, %ecx
  repe scasl
  sub $kArea, %edi
  shr $2, %edi
  print_hex %edi, 8
  print_space
  xor %ecx, %ecx
  mov $0xf0000000, %esi
  mov $0xf0000000, %edi
  rep movsb
  print_char 'n'
  print_char 'o'
  print_char 'n'
  print_char 'e'
  ret
tick:
  push %eax
  push %edx
  cmpl $interrupted, 8(%esp)
  jne 1f
  test %ecx, %ecx
  jz 1f
  cmp $kCount, %ecx
  jae 1f
  lea (%edi,%ecx,4), %edx
  xor %eax, %eax
  cmp $kArea + kCount * 4, %edx
  sete %al
  mov %eax, good
1:mov $0x20, %al
  out %al, $0x20
  pop %edx
  pop %eax
  iret
.section .data
good: .long 0
