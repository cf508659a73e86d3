/* A multiboot 1 kernel that prints what its loader handed over, on COM1: a line with its command line, then for each module a line with its command
   line and its contents as text; then the machine ends through isa-debug-exit with 0. A module that does not start on a page, overlaps the kernel
   or has another magic number in EAX behind it ends it with 1. Multiboot Specification 0.6.96, "Boot information format". */
.set kFlags, 3               /* modules on pages, memory information */
.set kCom1, 0x3f8

.text
.align 4
  .long 0x1badb002, kFlags, -(0x1badb002 + kFlags)

.globl _start
_start:
  cmp $0x2badb002, %eax
  jne wrong
  testl $4, (%ebx)            /* a command line */
  jz wrong
  mov $stack, %esp
  mov 16(%ebx), %esi
  call print_string
  call print_newline
  testl $8, (%ebx)            /* modules */
  jz right
  mov 20(%ebx), %ecx
  mov 24(%ebx), %ebp
next_module:
  mov 8(%ebp), %esi
  call print_string
  mov $'=', %al
  call print
  mov (%ebp), %esi
  test $0xfff, %esi
  jnz wrong
  cmp $_end, %esi
  jb wrong
next_byte:
  cmp 4(%ebp), %esi
  jae 1f
  lodsb
  call print
  jmp next_byte
1:call print_newline
  add $16, %ebp
  loop next_module
right:
  xor %eax, %eax
  jmp finish
wrong:
  mov $1, %eax
finish:
  out %al, $0xf4
1:hlt
  jmp 1b

print_newline:
  mov $'\n', %al
print:                        /* AL */
  mov $kCom1, %edx
  out %al, %dx
  ret
print_string:                 /* at ESI */
  lodsb
  test %al, %al
  jz 1f
  call print
  jmp print_string
1:ret

.bss
  .skip 4096
stack:
