// Not a row: the smallest program there is, for fork_exec. Built without the runtime.
__asm__(".globl _start\n_start: movl $1, %eax\n  xorl %ebx, %ebx\n  int $0x80\n");
