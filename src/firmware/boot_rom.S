// The option ROM that boots a kernel given with -kernel: 16-bit code that runs in the guest, after the BIOS has set
// up the machine. boot_rom.cc appends the table of transfers and fills in the parameters and the checksum.
//
// Documentation: "Plug and Play BIOS Specification 1.0A" (expansion header, bootstrap entry vector); QEMU's
// "Firmware Configuration Device" document (the DMA interface at 514h); "BIOS Boot Specification 1.01".
//
// It is assembled into the read-only data of this program; only differences of labels are used, so that nothing needs
// relocation.

#include "firmware/multiboot_layout.h"

#define FW_CFG_DMA_LOW 0x518
#define FW_CFG_DMA_HIGH 0x514
#define FW_CFG_DMA_ERROR_BE 0x01000000

// Where one transfer descriptor is built in RAM: free memory behind the BIOS data area.
#define DESCRIPTOR 0x600
// Where SMAP entries arrive.
#define E820_ENTRY 0x620

        .section .rodata.vitrine_boot_rom, "a", @progbits
        .balign 16
        .code16
        .globl vitrine_boot_rom_start, vitrine_boot_rom_end, vitrine_boot_rom_parameters
vitrine_boot_rom_start:
rom:
        .word   0xaa55
        .byte   0                       // size in 512-byte units: filled in
        jmp     initialise
        .org    rom + 0x18
        .word   0                       // no PCI data structure
        .word   pnp_header - rom
        .balign 16

pnp_header:
        .ascii  "$PnP"
        .byte   1                       // revision
        .byte   2                       // length, in 16 bytes
        .word   0                       // no further header
        .byte   0
        .byte   0                       // checksum: filled in
        .long   0                       // device identifier
        .word   manufacturer - rom
        .word   product - rom
        .byte   0, 0, 0                 // class
        .byte   0                       // indicators
        .word   0                       // boot connection vector
        .word   0                       // disconnect vector
        .word   boot - rom              // bootstrap entry vector
        .word   0
        .word   0                       // static resources
manufacturer:
        .asciz  "Vitrine"
product:
        .asciz  "Kernel given on the command line"

        .balign 4
// Filled in by boot_rom.cc: struct BootRomParameters.
vitrine_boot_rom_parameters:
parameters:
p_protocol:         .long 0             // 0 Linux, 1 multiboot
p_setup_segment:    .long 0
p_stack_pointer:    .long 0
p_entry:            .long 0
p_information:      .long 0
p_memory_map:       .long 0
p_memory_map_limit: .long 0
p_transfers:        .long 0             // number of descriptors at the end of the ROM

initialise:
        xorw    %ax, %ax                // PnP return status: nothing attached
        lretw

boot:
        cli
        cld
        movw    %cs, %ax
        movw    %ax, %ds
        xorw    %ax, %ax
        movw    %ax, %es
        movw    p_setup_segment - rom, %ss
        movl    p_stack_pointer - rom, %esp

        // Carry out the transfers: each table entry is a ready-made DMA descriptor.
        movw    p_transfers - rom, %cx
        movw    $(transfers - rom), %si
next_transfer:
        jcxz    transferred
        pushw   %cx
        movw    $DESCRIPTOR, %di
        movw    $4, %cx
        rep movsl
        popw    %cx
        xorl    %eax, %eax
        movw    $FW_CFG_DMA_HIGH, %dx
        outl    %eax, %dx
        movl    $DESCRIPTOR, %eax
        bswapl  %eax
        movw    $FW_CFG_DMA_LOW, %dx
        outl    %eax, %dx
wait_transfer:
        movl    %es:DESCRIPTOR, %eax
        testl   %eax, %eax
        jz      transfer_done
        testl   $FW_CFG_DMA_ERROR_BE, %eax
        jz      wait_transfer
        jmp     failed
transfer_done:
        decw    %cx
        jmp     next_transfer
transferred:
        cmpl    $0, p_protocol - rom
        jne     multiboot

        // Boot protocol, "Running the Kernel": all data segments at the set-up code, CS 20h above.
        movw    %ss, %ax
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ds
        addw    $0x20, %ax
        pushw   %ax
        pushw   $0
        xorl    %eax, %eax
        xorl    %ebx, %ebx
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        lretw

multiboot:
        // Memory sizes in KiB: INT 12h below 1 MiB; above it from the map, below.
        movl    p_information - rom, %eax
        movl    %eax, %ebp
        shrl    $4, %eax
        movw    %ax, %fs                // FS:0 is the information structure (on a 16-byte boundary)
        int     $0x12
        movzwl  %ax, %eax
        movl    %eax, %fs:MULTIBOOT_INFO_MEM_LOWER
        movl    $0, %fs:MULTIBOOT_INFO_MEM_UPPER

        // Copy the BIOS's memory map, entry by entry. GS:DI is where the next one goes.
        movl    p_memory_map - rom, %eax
        movl    %eax, %fs:MULTIBOOT_INFO_MMAP_ADDR
        shrl    $4, %eax
        movw    %ax, %gs
        xorl    %ebx, %ebx
        xorl    %esi, %esi              // bytes written
next_range:
        movl    $0xe820, %eax
        movl    $0x534d4150, %edx       // "SMAP"
        movl    $20, %ecx
        movw    $E820_ENTRY, %di
        pushl   %esi
        pushl   %ebp
        pushw   %fs
        pushw   %gs
        int     $0x15
        popw    %gs
        popw    %fs
        popl    %ebp
        popl    %esi
        jc      ranges_done
        cmpl    $0x534d4150, %eax
        jne     ranges_done
        movl    %esi, %eax
        addl    $24, %eax
        cmpl    p_memory_map_limit - rom, %eax
        ja      ranges_done
        movl    $20, %gs:(%si)
        movl    %es:E820_ENTRY, %eax
        movl    %eax, %gs:4(%si)
        movl    %es:E820_ENTRY + 4, %ecx
        movl    %ecx, %gs:8(%si)
        movl    %es:E820_ENTRY + 8, %edx
        movl    %edx, %gs:12(%si)
        movl    %es:E820_ENTRY + 12, %edi
        movl    %edi, %gs:16(%si)
        movl    %es:E820_ENTRY + 16, %edi
        movl    %edi, %gs:20(%si)
        addl    $24, %esi
        // Usable memory that starts at 1 MiB is mem_upper.
        cmpl    $1, %edi
        jne     not_upper
        testl   %ecx, %ecx
        jnz     not_upper
        cmpl    $0x100000, %eax
        jne     not_upper
        shrl    $10, %edx
        movl    %edx, %fs:MULTIBOOT_INFO_MEM_UPPER
not_upper:
        testl   %ebx, %ebx
        jnz     next_range
ranges_done:
        movl    %esi, %fs:MULTIBOOT_INFO_MMAP_LENGTH
        orl     $(MULTIBOOT_HAS_MEMORY | MULTIBOOT_HAS_MMAP), %fs:MULTIBOOT_INFO_FLAGS

        // A20 through port 92h, then protected mode. The descriptor table is used where the ROM lies.
        cli
        inb     $0x92, %al
        orb     $2, %al
        andb    $0xfe, %al
        outb    %al, $0x92
        movl    %ebp, %ebx
        movl    p_entry - rom, %edi
        movl    p_setup_segment - rom, %esi
        shll    $4, %esi
        addl    p_stack_pointer - rom, %esi
        xorl    %eax, %eax
        movw    %cs, %ax
        shll    $4, %eax                // linear address of the ROM
        movl    %eax, %ecx
        addl    $(gdt - rom), %ecx
        movl    %ecx, %es:DESCRIPTOR + 2
        movw    $(gdt_end - gdt - 1), %es:DESCRIPTOR
        lgdtl   %es:DESCRIPTOR
        addl    $(protected_mode - rom), %eax
        movl    %eax, %es:DESCRIPTOR + 8
        movw    $8, %es:DESCRIPTOR + 12
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   *%es:DESCRIPTOR + 8

        .code32
protected_mode:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    %esi, %esp
        movl    $MULTIBOOT_LOADER_MAGIC, %eax
        jmp     *%edi

        .code16
failed:
        movw    $(failed_text - rom), %si
next_character:
        lodsb
        testb   %al, %al
        jz      stop
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        jmp     next_character
stop:
        hlt
        jmp     stop
failed_text:
        .asciz  "The kernel could not be loaded.\r\n"

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      // 08h: flat code
        .quad   0x00cf93000000ffff      // 10h: flat data
gdt_end:
        .balign 16
transfers:
vitrine_boot_rom_end:
        .section .note.GNU-stack, "", @progbits
