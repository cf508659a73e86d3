/* Who may use the floating-point unit: CR0.EM makes x87 #NM and MMX and SSE #UD; CR0.TS makes all of them #NM; WAIT is #NM only with MP and TS; without
   CR4.OSFXSR SSE is #UD. FXSAVE and FXRSTOR keep x87, MMX and XMM; a misaligned FXSAVE is #GP(0).
   SDM Vol. 3A, "x87 FPU and MMX exceptions", "Handling of SSE".

   Expect: 06:0000 07:0000 06:0000 06:0000 07:0000 07:0000 07:0000 07:0000 4007 12345678 55667788 0d:0000 */
.include "tiny.inc"
.section .text
.macro cr0_bits set
  mov %cr0, %eax
  and $0xfffffff1, %eax
  or $\set, %eax
  mov %eax, %cr0
.endm
.macro tries instruction:vararg
  try
  \instruction
  tried
.endm
main:
  cr0_bits 0
  mov %cr4, %eax
  and $0xfffffdff, %eax
  mov %eax, %cr4
  tries addps %xmm0, %xmm1
  or $0x200, %eax
  mov %cr4, %eax
  or $0x200, %eax
  mov %eax, %cr4
  cr0_bits 4                /* EM */
  tries fld1
  tries paddb %mm0, %mm1
  tries addps %xmm0, %xmm1
  cr0_bits 8                /* TS: WAIT does not look at it without MP */
  fwait
  tries fld1
  tries paddb %mm0, %mm1
  tries addps %xmm0, %xmm1
  cr0_bits 10               /* TS and MP */
  tries fwait
  cr0_bits 0
  fninit
  fldl number
  movd number, %xmm0
  mov $0x12345678, %eax
  movd %eax, %xmm1
  fxsave area
  fninit
  pxor %xmm1, %xmm1
  fxrstor area
  fstpt temporary
  movzwl temporary + 8, %ecx
  print_hex %ecx, 4
  print_space
  movd %xmm1, %ecx
  print_hex %ecx, 8
  print_space
  mov $0x55667788, %eax
  movd %eax, %mm3
  fxsave area
  emms
  mov area + 32 + 16 * 3, %ecx
  print_hex %ecx, 8
  print_space
  tries fxsave area+8
  ret
.section .data
.align 16
area: .skip 528
number: .double 384.0
temporary: .skip 16
