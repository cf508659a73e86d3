# The loader, still in real mode at 0x10000: asks the BIOS for the memory map, opens the A20 gate, enters
# protected mode and calls load_kernel() (loader.c). The kernel's ELF file follows the loader in memory.

#define MAP_SIGNATURE 0x534d4150 /* "SMAP" */
#define MAX_MAP_ENTRIES 32
#define ENTRY_SIZE 24

    .code16
    .section .start, "ax"
    .globl loader_start
loader_start:
    jmp 1f
    .org 16
    .globl boot_options
boot_options:                       # make_image --options writes here
    .skip 112

1:  cli
    mov %cs, %ax
    mov %ax, %ds
    mov %ax, %es
    xor %ax, %ax
    mov %ax, %ss
    mov $0x7c00, %sp
    sti

# INT 15h, AX=E820h: one entry a call, as multiboot wants them, behind a size field.
    mov $(memory_map - loader_start), %di
    xor %ebx, %ebx
    mov $MAX_MAP_ENTRIES, %bp
next_entry:
    movl $(ENTRY_SIZE - 4), (%di)
    add $4, %di
    mov $0xe820, %eax
    mov $(ENTRY_SIZE - 4), %ecx
    mov $MAP_SIGNATURE, %edx
    int $0x15
    jc map_done
    cmp $MAP_SIGNATURE, %eax
    jne map_done
    add $(ENTRY_SIZE - 4), %di
    incl memory_map_entries - loader_start
    dec %bp
    jz map_done
    test %ebx, %ebx
    jnz next_entry
map_done:

    in $0x92, %al                   # port 92h, bit 1: the A20 gate; bit 0 would reset
    or $2, %al
    and $0xfe, %al
    out %al, $0x92

    cli
    lgdtl gdt_pointer - loader_start
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $0x08, $protected

    .code32
protected:
    mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %esp
    call load_kernel                # EAX: the multiboot information
    mov %eax, %ebx
    mov $0x2badb002, %eax
    jmp *kernel_entry

    .align 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff
    .quad 0x00cf92000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .globl memory_map, memory_map_entries
    .align 4
memory_map_entries:
    .skip 4
memory_map:
    .skip MAX_MAP_ENTRIES * ENTRY_SIZE + 4
    .section .note.GNU-stack, "", @progbits
