# How a processor gets from the boot loader, or from INIT, to C.
#
# The first one arrives in `entry`, in 32-bit protected mode without paging, by the multiboot protocol
# (Multiboot Specification 0.6.96, "Machine state"). The others start in `other_processor_entry`, in real
# mode, where processors.c has copied it. Both turn on paging with `boot_directory`, which shows the first
# 768 MiB of physical memory twice: at 0 (4 MiB of it), so that the next instruction is still there, and
# at 3 GiB, where the kernel lives.

#define KERNEL_BASE 0xC0000000
#define MULTIBOOT_MAGIC 0x1BADB002
#define MULTIBOOT_FLAGS 3 /* modules on page boundaries, tell about memory */
#define CR0_PROTECTED 0x00000001
#define CR0_EMULATE_FPU 0x00000004 /* no FPU state is kept: its instructions fault */
#define CR0_WRITE_PROTECT 0x00010000 /* read-only holds for the kernel, too: copy on write needs it */
#define CR0_PAGING 0x80000000
#define CR4_LARGE_PAGES 0x00000010
#define START_PAGE 0x8000 /* kStartPage in processors.c */

.macro turn_on_paging
    mov $(boot_directory - KERNEL_BASE), %ecx
    mov %ecx, %cr3
    mov %cr4, %ecx
    or $CR4_LARGE_PAGES, %ecx
    mov %ecx, %cr4
    mov %cr0, %ecx
    or $(CR0_PAGING | CR0_WRITE_PROTECT | CR0_EMULATE_FPU), %ecx
    mov %ecx, %cr0
.endm

    .section .multiboot, "a"
    .align 4
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .text
    .globl entry
entry:
    turn_on_paging
    mov $1f, %ecx
    jmp *%ecx
1:  mov $boot_stack_top, %esp
    xor %ebp, %ebp                  # ends the chain of frames for backtraces
    push %ebx                       # physical address of the multiboot information
    push %eax                       # who loaded us
    call kernel_main

    .code16
    .globl other_processor_entry, other_processor_entry_end
other_processor_entry:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl START_PAGE + start_gdt_pointer - other_processor_entry
    mov $CR0_PROTECTED, %eax
    mov %eax, %cr0
    ljmpl $0x08, $(START_PAGE + 1f - other_processor_entry)
    .code32
1:  mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    turn_on_paging
    mov other_processor_stack, %esp # one processor is started at a time
    xor %ebp, %ebp
    mov $other_processor_main, %ecx
    call *%ecx

    .align 8
start_gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF        # 0x08: code, 4 GiB
    .quad 0x00CF92000000FFFF        # 0x10: data, 4 GiB
start_gdt_pointer:
    .word . - start_gdt - 1
    .long START_PAGE + start_gdt - other_processor_entry
other_processor_entry_end:

    .data
    .align 4096
    .globl boot_directory
boot_directory:                     # 0x83: present, writable, 4 MiB
    .long 0x83
    .fill 767, 4, 0
    .set address, 0
    .rept 192
    .long address | 0x83
    .set address, address + 0x400000
    .endr
    .fill 1019 - 960, 4, 0
    .long 0xFEC00000 | 0x9B         # I/O APIC and local APIC, not cached
    .fill 4, 4, 0

    .bss
    .align 16
    .skip 4096
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
