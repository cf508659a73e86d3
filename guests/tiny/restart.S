/* An instruction that faults in the middle can be started again: PUSHA and ENTER have left the registers alone, REP MOVS has its counters where it
   stopped, an ADD that straddles two pages has not written. The handler maps the page of CR2 and returns. SDM Vol. 3A, "Program or Task Restart".

   Prints, for each, a register in the handler (ECX for REP MOVS, else the user's ESP) and the outcome (the word behind the boundary; ESP; ESP; the
   two halves of the sum, whose lower one was still 5554 in the handler).

   TCG: ENTER does not try the end of its frame
   Expect: 00000008 0000beef 00403008 00402fe8 00406004 00405ff0 00005554 00010000 80:0000 */
.include "tiny.inc"
.include "paging.inc"
.section .text
.macro show value
  print_hex \value, 8
  print_space
.endm
main:
  paging_on
  set_gate 14, handler
  map 0, kFrame | 7
  map 3, (kFrame + 0x3000) | 7
  map 6, (kFrame + 0x6000) | 7
  map 8, (kFrame + 0x8000) | 7
  movw $0xbeef, pattern + 16
  try
  go_user user, 3
  tried
  ret
user:
  mov $pattern, %esi
  mov $kHigh + 0x1000 - 16, %edi
  mov $16, %ecx             /* the last eight words lie in the absent page */
  mov $1, %ebp
  rep movsw
  movzwl kHigh + 0x1000, %eax
  show %eax
  mov $2, %ebp
  mov $kHigh + 0x3008, %esp
  pusha
  mov %esp, %ebx
  mov $user_stack_top, %esp
  show %ebx
  mov $kHigh + 0x6004, %esp
  enter $0x10, $0           /* the push of EBP fits, the end of the frame is in the absent page */
  mov %esp, %ebx
  mov $user_stack_top, %esp
  show %ebx
  mov $3, %ebp
  movw $0x5554, kHigh + 0x8ffe
  addl $0xaaac, kHigh + 0x8ffe
  mov kHigh + 0x8ffe, %ebx
  show %ebx
  int $0x80
.section .data
pattern: .fill 64, 1, 0
.section .text
handler:
  pusha
  mov 32 + 16(%esp), %ebx   /* the user's ESP */
  cmp $1, %ebp
  cmove %ecx, %ebx
  cmp $3, %ebp
  jne 1f
  movzwl kHigh + 0x8ffe, %ebx
1:
  show %ebx
  mov %cr2, %eax
  and $0x3ff000, %eax
  mov %eax, %ebx
  shr $12, %ebx
  add $kFrame + 7, %eax
  mov %eax, kHighTable(,%ebx,4)
  popa
  add $4, %esp
  iret
