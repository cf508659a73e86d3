/* The two programs, each on a page of its own at kProgram (kernel.c). Registers: EAX, the number of a system call, then its answer. */

.section .reader, "ax"                  /* A: reads bytes from the keyboard, each as long as it takes */
reader:
  mov $1, %eax                          /* read() */
.global mark_before, mark_after
mark_before:
  int $0x80
mark_after:
  test %eax, %eax
  jnz reader

.section .computer, "ax"                /* B: has something to compute */
computer:
  inc %eax
  jmp computer
