/* A Pentium II has no SSE: CPUID says so, CR4.OSXMMEXCPT is reserved (#GP), and an SSE instruction is #UD; MMX and FXSAVE are there.
   SDM Vol. 2, "CPUID"; Vol. 3A, "Control Registers".

   Prints: family, MMX, FXSR, SSE; the faults.

   Options: -cpu pentium2
   TCG: lets CR4 bits through
   Expect: 6 1 1 0 0d:0000 06:0000 06:0000 */
.include "tiny.inc"
.section .text
.macro feature bit
  mov %edi, %ecx
  shr $\bit, %ecx
  and $1, %ecx
  print_hex %ecx, 1
  print_space
.endm
main:
  mov $1, %eax
  cpuid
  mov %edx, %edi
  shr $8, %eax
  print_hex %eax, 1
  print_space
  feature 23
  feature 24
  feature 25
  try
  mov %cr4, %eax
  or $0x400, %eax
  mov %eax, %cr4
  tried
  mov %cr4, %eax
  or $0x200, %eax
  mov %eax, %cr4
  paddb %mm0, %mm1
  emms
  try
  addps %xmm0, %xmm1
  tried
  try
  paddd %xmm0, %xmm1        /* SSE2: as MMX with 66h it does not exist either */
  tried
  ret
