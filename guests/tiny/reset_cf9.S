/* A reset of the whole machine through port CF9h (PIIX3 data sheet, "Reset Control Register"), 02h then 06h.
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
  mov $0xcf9, %edx
  mov $2, %al
  out %al, %dx
  mov $6, %al
  out %al, %dx
  cli
2:hlt
  jmp 2b
1:movl $0, 0x80000
  print_char '2'
  ret
