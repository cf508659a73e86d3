# Where a program begins. The kernel has put main's arguments on the stack.
    .text
    .globl start
start:
    xor %ebp, %ebp
    call main
    push %eax
    call exit
    .section .note.GNU-stack, "", @progbits
