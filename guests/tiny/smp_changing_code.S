/* One processor changes code that the other has executed before, and that it executes again behind a serializing instruction; and it ends a loop of
   the other by writing over its jump. SDM Vol. 3A, "Handling Self- and Cross-Modifying Code".

   Prints how often the new code was executed, how often old code, and how many loops ended.

   Options: -smp 2
   Expect: 0080 0000 0010
   TCG: does not end a loop to itself that another processor writes over, now and then. */
.include "tiny.inc"
.include "apic.inc"
.set kFunction, 0x200010
.set kLoop, 0x201000
.set kRounds, 0x80
.set kLoops, 0x10
.text
main:
  movb $0xb8, kFunction               /* mov $0, %eax; ret */
  movl $0, kFunction + 1
  movb $0xc3, kFunction + 5
  movw $0xfeeb, kLoop                 /* jmp to itself; ret */
  movb $0xc3, kLoop + 2
  start_other other
  xor %ebx, %ebx
1:inc %ebx
  mov %ebx, kFunction + 1
  mov %ebx, stage
2:pause
  cmp %ebx, done
  jne 2b
  cmp $kRounds, %ebx
  jne 1b
  print_hex fresh, 4
  print_space
  print_hex stale, 4
  print_space
  xor %ebx, %ebx
1:inc %ebx
2:pause                               /* until the other is about to go in */
  cmp %ebx, inside
  jne 2b
  mov $0x80, %ecx
3:loop 3b
  movw $0x9090, kLoop
2:pause
  cmp %ebx, outside
  jne 2b
  movw $0xfeeb, kLoop
  mov %ebx, again
  cmp $kLoops, %ebx
  jne 1b
  print_hex outside, 4
  ret
other:
  xor %esi, %esi
1:inc %esi
2:pause
  cmp %esi, stage
  jne 2b
  xor %eax, %eax
  cpuid
  mov $kFunction, %ebx
  call *%ebx
  cmp %esi, %eax
  jne 3f
  incl fresh
  jmp 4f
3:incl stale
4:mov %esi, done
  cmp $kRounds, %esi
  jne 1b
  xor %esi, %esi
1:inc %esi
  mov %esi, inside
  mov $kLoop, %ebx
  call *%ebx
  mov %esi, outside
2:pause
  cmp %esi, again
  jne 2b
  xor %eax, %eax
  cpuid
  cmp $kLoops, %esi
  jne 1b
3:hlt
  jmp 3b
.section .data
.align 4
stage: .long 0
done: .long 0
fresh: .long 0
stale: .long 0
inside: .long 0
outside: .long 0
again: .long 0
