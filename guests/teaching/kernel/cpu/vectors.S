# The way into the kernel and out again. 256 entries of 16 bytes: entry n pushes n, so that one
# handle_trap() can serve them all. SDM Vol. 3A, "Exception and Interrupt Reference": vectors 8, 10–14
# and 17 push an error code themselves; for the others we push 0.

    .text
    .globl trap_vectors
    .align 16
trap_vectors:
    .set vector, 0
    .rept 256
    .align 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
    push $0
    .endif
    push $vector
    jmp trap_entry
    .set vector, vector + 1
    .endr

    .align 16
trap_entry:                         # builds the rest of struct TrapFrame
    push %ds
    push %es
    push %fs
    push %gs
    pusha
    cld
    mov $0x10, %eax                 # kKernelData
    mov %eax, %ds
    mov %eax, %es
    mov $0x30, %eax                 # kCpuData
    mov %eax, %gs
    xor %ebp, %ebp                  # backtraces end here
    push %esp
    call handle_trap
    add $4, %esp

    .globl trap_return
trap_return:                        # ESP points at a struct TrapFrame
    popa
    pop %gs
    pop %fs
    pop %es
    pop %ds
    add $8, %esp                    # vector, error
    iret
    .section .note.GNU-stack, "", @progbits
