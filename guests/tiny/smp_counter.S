/* Two processors add to one counter: LOCK XADD and LOCK INC lose nothing, and XCHG (locked without a prefix) makes a lock that protects an ordinary
   addition. SDM Vol. 3A, "Locked Atomic Operations".

   Prints the three counters.

   Options: -smp 2
   Expect: 00004000 00004000 00004000 */
.include "tiny.inc"
.include "apic.inc"
.section .text
main:
  start_other other
  call count
1:pause
  cmpl $2, finished
  jne 1b
  print_hex counters, 8
  print_space
  print_hex counters+4, 8
  print_space
  print_hex counters+8, 8
  ret
other:
  call count
  cli
2:hlt
  jmp 2b
count:
  mov $0x2000, %ecx
1:mov $1, %eax
  lock xadd %eax, counters
  lock incl counters + 4
2:mov $1, %eax
  xchg %eax, taken
  test %eax, %eax
  jz 3f
  pause
  jmp 2b
3:incl counters + 8
  movl $0, taken
  loop 1b
  lock incl finished
  ret
.section .data
.align 4
counters: .long 0, 0, 0
taken: .long 0
finished: .long 0
