/* A fault while #DF is delivered shuts the processor down; a PC answers with a reset. Memory survives: the guest counts its starts at 80000h.
   SDM Vol. 3A, "Interrupt 8—Double Fault Exception (#DF)".

   Resets: yes
   Expect: start again */
.include "tiny.inc"
.section .text
main:
  cmpl $0x600d600d, 0x80000
  je 1f
  movl $0x600d600d, 0x80000
  print_char 's'
  print_char 't'
  print_char 'a'
  print_char 'r'
  print_char 't'
  print_space
  lidt nothing
  ud2
1:movl $0, 0x80000
  print_char 'a'
  print_char 'g'
  print_char 'a'
  print_char 'i'
  print_char 'n'
  ret
.section .data
nothing: .word 0
  .long 0
