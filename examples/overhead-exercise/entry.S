/* The doors of the kernel: from the boot loader, from the programs, from the keyboard. Everything privileged that happens between the two
   marks is in this file and in kernel.c, so that the report can be followed line by line. */
.set kKernelCode, 0x08
.set kKernelData, 0x10

.section .header, "a"
.align 4
.long 0x1badb002, 0, -0x1badb002        /* multiboot */

.section .text
.global start
start:
  mov $boot_stack_top, %esp
  call kernel_main

/* What the processor pushed, then the registers, then the segments: struct Frame in kernel.c. */
.macro door name, handler
.global \name
\name:
  pusha
  push %ds
  push %es
  mov $kKernelData, %eax
  mov %eax, %ds
  mov %eax, %es
  push %esp
  call \handler                         /* the frame to go back by, perhaps another program's */
  mov %eax, %esp
.endm

door system_call_door, system_call
leave:
  pop %es
  pop %ds
  popa
  iret

door keyboard_door, keyboard_interrupt
  jmp leave

.global enter_program
enter_program:                          /* the frame is the argument */
  mov 4(%esp), %esp
  jmp leave

.global load_tables
load_tables:                            /* GDT, IDT, task register */
  mov 4(%esp), %eax
  lgdt (%eax)
  mov 8(%esp), %eax
  lidt (%eax)
  ljmp $kKernelCode, $1f
1:mov $kKernelData, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov $0x28, %eax
  ltr %ax
  ret

.global turn_on_paging
turn_on_paging:
  mov 4(%esp), %eax
  mov %eax, %cr3
  mov %cr0, %eax
  or $0x80010000, %eax                  /* PG, WP */
  mov %eax, %cr0
  ret

.section .bss
.align 4096
  .skip 4096
boot_stack_top:
