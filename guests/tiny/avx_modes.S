/* AVX: instructions with a VEX prefix are #UD without CR4.OSXSAVE, without the AVX bit in XCR0, behind 66, F2, F3 and LOCK, in virtual-8086 and real mode,
   where C4 and C5 with a memory operand are LES and LDS still; #NM with CR0.TS, but not for CR0.EM; #UD comes before #NM. The upper half of the
   destination is cleared by VEX.128 and kept by SSE; gathers keep what they have when they fault.
   SDM Vol. 2A, "The VEX Prefix", "Exceptions Type 1"–"Type 12".

   Options: -cpu qemu32,+avx2
   Expect: 06:0000 06:0000 06:0000 11223344 55667788 06:0000 06:0000 06:0000 06:0000 07:0000 06:0000 00000000 55667788 00000000 0e:0000
   00000007 00000000 ffffffff 06:0000 1234 5678 */
.include "tiny.inc"
.section .text
.macro tries instruction:vararg
  try
  \instruction
  tried
.endm
.macro set_xcr0 low
  mov $\low, %eax
  xor %edx, %edx
  xor %ecx, %ecx
  xsetbv
.endm
.macro set_cr4 bits
  mov %cr4, %eax
  or $\bits, %eax
  mov %eax, %cr4
.endm
.macro clear_cr4 bits
  mov %cr4, %eax
  and $~(\bits), %eax
  mov %eax, %cr4
.endm
.macro cr0_bits bits
  mov %cr0, %eax
  and $0xfffffff1, %eax
  or $\bits, %eax
  mov %eax, %cr0
.endm
.macro show value
  print_hex \value, 8
  print_space
.endm
main:
  cr0_bits 0
  set_cr4 0x600
  tries vaddps %ymm0, %ymm1, %ymm2
  set_cr4 0x40000
  tries vaddps %ymm0, %ymm1, %ymm2
  set_xcr0 3
  tries vaddps %ymm0, %ymm1, %ymm2
  set_xcr0 7
  vmovups data, %ymm1
  vmovups %ymm1, result
  show result
  show result+16
  try                       /* 66 c5 ec 58 d0: vaddps with a prefix too many */
  .byte 0x66, 0xc5, 0xf4, 0x58, 0xd0
  tried
  try
  .byte 0xf2, 0xc5, 0xf4, 0x58, 0xd0
  tried
  try
  .byte 0xf3, 0xc5, 0xf4, 0x58, 0xd0
  tried
  try
  .byte 0xf0, 0xc5, 0xf4, 0x58, 0xd0
  tried
  cr0_bits 4                /* EM: not for AVX */
  vaddps %ymm0, %ymm1, %ymm2
  cr0_bits 8
  tries vaddps %ymm0, %ymm1, %ymm2
  clear_cr4 0x40000
  tries vaddps %ymm0, %ymm1, %ymm2
  set_cr4 0x40000
  cr0_bits 0
  xorps %xmm1, %xmm1        /* the upper half stays… */
  vmovups %ymm1, result
  show result
  show result+16
  vxorps %xmm1, %xmm1, %xmm1 /* …and goes */
  vmovups %ymm1, result
  show result+16
  call paging               /* a gather whose third element is not there */
  vpcmpeqd %xmm2, %xmm2, %xmm2
  vpxor %xmm1, %xmm1, %xmm1
  vmovdqu indices, %xmm0
  mov $numbers, %ebx
  tries vpgatherdd %xmm2, (%ebx,%xmm0,4), %xmm1
  vmovdqu %xmm1, result
  show result+4
  vmovdqu %xmm2, result
  show result+4
  show result+8
  mov %cr0, %eax            /* paging off */
  and $0x7fffffff, %eax
  mov %eax, %cr0
  try                       /* virtual-8086 mode: LES is one, VADDPS is none */
  mov %esp, tss + 4
  pushl $0                  /* GS, FS, DS, ES, SS, ESP, EFLAGS, CS, EIP */
  pushl $0
  pushl $0x300
  pushl $0
  pushl $0x300
  pushl $0x100
  pushl $0x20002
  pushl $0x200
  pushl $0
  cld
  mov $v86_code, %esi
  mov $0x2000, %edi
  mov $v86_end - v86_code, %ecx
  rep movsb
  movl $0x56781234, 0x3000
  iret
v86_code:
  .code16
  les 0, %ax
  .byte 0xc5, 0xf0, 0x58, 0xd0
  .code32
v86_end:
  tried
  mov tss + 4, %ebp         /* the exception's frame: ES is above SS */
  mov -16(%ebp), %ecx
  print_hex 0x3000, 4
  print_space
  print_hex %ecx, 4
  print_space
  ret

paging:                     /* one to one, 4 MiB pages; nothing at 80000000h */
  mov $tables, %edi
  mov $0x83, %eax
1:mov %eax, (%edi)
  add $4, %edi
  add $0x400000, %eax
  cmp $tables + 64, %edi
  jb 1b
  mov $tables, %eax
  mov %eax, %cr3
  set_cr4 0x10
  mov %cr0, %eax
  or $0x80000000, %eax
  mov %eax, %cr0
  ret
.section .data
.align 32
data: .long 0x11223344, 0, 0, 0, 0x55667788, 0, 0, 0
indices: .long 0, 1, 0x20000000, 0
numbers: .long 5, 7
result: .skip 32
.section .bss
.align 4096
tables: .skip 4096
