/* The reset vector of every tiny guest: a 64 KiB ROM that enters flat 32-bit protected mode, copies the guest from its lower part to 1 MiB and
   jumps there. There is no BIOS, so that a guest takes a few milliseconds and meets each device as a reset leaves it.
   SDM Vol. 3A, "First Instruction Executed", "Switching to Protected Mode". */
.section .payload, "a"
  .incbin TINY_PAYLOAD
.section .start, "ax"
.code16
start:
  cli
  in $0x92, %al
  or $2, %al
  and $0xfe, %al
  out %al, $0x92
  lgdtl %cs:gdt_register
  mov %cr0, %eax
  or $1, %al
  mov %eax, %cr0
  ljmpl $8, $0xf0000 + 1f
.code32
1:mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov $0xf0000, %esi
  mov $0x100000, %edi
  mov $0xe000 / 4, %ecx
  cld
  rep movsl
  mov $0x100000, %eax
  jmp *%eax
.align 8
gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_register: .word 23
  .long 0xf0000 + gdt
.section .vector, "ax"
.code16
  ljmp $0xf000, $start
