# The first sector of a bootable disk. The BIOS loads it at 0x7c00, in real mode, with the drive in DL. It
# loads all of the first partition (loader and kernel: make_image.c) to 0x10000 and jumps there.
# Needs INT 13h extensions (functions 42h; every BIOS that boots from a hard disk of today has them).

#define LOAD_SEGMENT 0x1000
#define SECTORS_AT_ONCE 32
#define PARTITION (0x7c00 + 446)

    .code16
    .text
    .globl boot_sector
boot_sector:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    ljmp $0, $1f
1:  sti
    cld
    mov PARTITION + 8, %eax         # first sector
    mov %eax, packet_sector
    mov PARTITION + 12, %edi        # sectors left

next:
    mov $SECTORS_AT_ONCE, %ecx
    cmp %ecx, %edi
    jae 1f
    mov %edi, %ecx
1:  mov %cx, packet_count
    mov $0x42, %ah
    mov $packet, %si
    push %ecx
    push %edi
    push %dx
    int $0x13
    pop %dx
    pop %edi
    pop %ecx
    jc failed
    add %ecx, packet_sector
    shl $5, %cx                     # a sector is 32 paragraphs
    add %cx, packet_segment
    shr $5, %cx
    sub %ecx, %edi
    jnz next
    ljmp $LOAD_SEGMENT, $0

failed:
    mov $message, %si
1:  lodsb
    test %al, %al
    jz 2f
    mov $0x0e, %ah
    xor %bx, %bx
    int $0x10
    jmp 1b
2:  cli
    hlt
    jmp 2b

message:
    .asciz "pane: cannot read the disk\r\n"

    .align 4
packet:                             # what INT 13h, AH=42h wants
    .byte 16, 0
packet_count:
    .word 0
    .word 0                         # to offset
packet_segment:
    .word LOAD_SEGMENT
packet_sector:
    .long 0, 0

    .org 510
    .word 0xaa55
    .section .note.GNU-stack, "", @progbits
