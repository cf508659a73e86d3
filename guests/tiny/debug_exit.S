/* isa-debug-exit: a write of v ends the machine with the status 2v + 1.

   Status: 85
   Expect: bye */
.include "tiny.inc"
.section .text
main:
  print_char 'b'
  print_char 'y'
  print_char 'e'
  mov $42, %eax
  out %eax, $0xf4
1:hlt
  jmp 1b
