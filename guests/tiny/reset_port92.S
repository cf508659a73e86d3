/* A reset of the whole machine through port 92h, bit 0.
   Memory survives it, so the second start knows that it is one; the processor is in its reset state again (the start-up ROM found it so).

   Resets: yes
   Expect: 1 2 */
.include "tiny.inc"
.section .text
main:
  cmpl $0x600d600d, 0x80000
  je 1f
  movl $0x600d600d, 0x80000
  print_char '1'
  print_space
  in $0x92, %al
  or $1, %al
  out %al, $0x92
  cli
2:hlt
  jmp 2b
1:movl $0, 0x80000
  print_char '2'
  ret
