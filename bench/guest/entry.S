# From the teaching kernel's disk loader (or any multiboot loader) to C: 32-bit protected mode, flat segments.
# Turns on what compilers expect (x87, SSE) and paging, so that the rows are measured with the walks and
# look-aside buffers that real systems need: the first 64 MiB are mapped one to one with 4 KiB pages.
# Interrupts stay off.

#define CR0_PAGING 0x80000000
#define CR0_EMULATE_FPU 0x00000004
#define CR0_TASK_SWITCHED 0x00000008
#define CR0_MONITOR_FPU 0x00000002
#define CR4_SSE 0x00000600 /* OSFXSR, OSXMMEXCPT */
#define TABLES 16
#define PRESENT_WRITABLE 3

    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, 0, -0x1BADB002

    .text
    .globl entry
entry:
    mov $stack_top, %esp
    mov $tables, %edi
    mov $PRESENT_WRITABLE, %eax
1:  mov %eax, (%edi)
    add $4, %edi
    add $4096, %eax
    cmp $(tables + TABLES * 4096), %edi
    jb 1b
    mov $directory, %edi
    mov $(tables + PRESENT_WRITABLE), %eax
    mov $TABLES, %ecx
1:  mov %eax, (%edi)
    add $4, %edi
    add $4096, %eax
    loop 1b
    mov $directory, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $CR4_SSE, %eax
    mov %eax, %cr4
    mov %cr0, %eax
    and $~(CR0_EMULATE_FPU | CR0_TASK_SWITCHED), %eax
    or $(CR0_PAGING | CR0_MONITOR_FPU), %eax
    mov %eax, %cr0
    fninit
    cld
    call guest_main
1:  hlt
    jmp 1b

    .bss
    .align 4096
directory:
    .skip 4096
tables:
    .skip TABLES * 4096
    .skip 65536
stack_top:
    .section .note.GNU-stack, "", @progbits
