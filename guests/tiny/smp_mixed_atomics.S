/* Locked instructions of two processors on the same memory lose nothing, whoever executes them: the second processor runs with IOPL 3, which native
   engines leave to the interpreter. The last counter lies across two pages. SDM Vol. 3A, "Locked Atomic Operations", "Bus Locking".

   Prints the counters: XADD, INC, CMPXCHG in a loop, ADD across two pages.

   Options: -smp 2
   Expect: 00040000 00040000 00040000 00000040 */
.include "tiny.inc"
.include "apic.inc"
.set kCounters, 0x200000
.set kAcross, 0x201ffe
.text
main:
  start_other other
  call count
1:pause
  cmpl $2, finished
  jne 1b
  print_hex kCounters, 8
  print_space
  print_hex kCounters + 4, 8
  print_space
  print_hex kCounters + 8, 8
  print_space
  print_hex kAcross, 8
  ret
other:
  pushf
  orl $0x3000, (%esp)
  popf
  call count
  cli
2:hlt
  jmp 2b
count:
  lock incl begun
1:pause
  cmpl $2, begun
  jne 1b
  mov $0x20000, %ecx
1:mov $1, %eax
  lock xadd %eax, kCounters
  lock incl kCounters + 4
  mov kCounters + 8, %eax
2:lea 1(%eax), %edx
  lock cmpxchg %edx, kCounters + 8
  jnz 2b
  loop 1b
  mov $0x20, %ecx
3:lock addl $1, kAcross
  loop 3b
  lock incl finished
  ret
.section .data
.align 4
begun: .long 0
finished: .long 0
