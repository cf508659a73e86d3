# void switch_context(uint32_t** old_esp, uint32_t* new_esp)
# Leaves one kernel stack for another. Only the registers that a C function must preserve are kept: the
# caller knows that the others are lost. It returns in the other process, where that one once called it.

    .text
    .globl switch_context
switch_context:
    mov 4(%esp), %eax
    mov 8(%esp), %edx
    push %ebp
    push %ebx
    push %esi
    push %edi
    mov %esp, (%eax)
    mov %edx, %esp
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret

# Where a new process begins (see allocate() in process.c). ESP points at its struct TrapFrame.
    .globl process_entry
process_entry:
    call process_begin
    jmp trap_return
    .section .note.GNU-stack, "", @progbits
