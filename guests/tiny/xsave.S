/* XCR0 and XSAVE: without CR4.OSXSAVE they are #UD, and CPUID does not show OSXSAVE; XSETBV refuses what makes no sense; XSAVE marks what is in use and
   XRSTOR initialises what the header leaves out; a misaligned area, a bad header and reserved bits of MXCSR are #GP(0); CR0.TS is #NM.
   SDM Vol. 1, "Managing State Using the XSAVE Feature Set".

   Options: -cpu pentium3,+sse2,+xsave
   Expect: 0 06:0000 06:0000 1 00000001 00000240 0d:0000 0d:0000 0d:0000 00000003 00000240 0 2 00005678 1 00000000 00001fa0
   0d:0000 0d:0000 0d:0000 0d:0000 07:0000 06:0000 0d:0000 */
.include "tiny.inc"
.section .text
.macro tries instruction:vararg
  try
  \instruction
  tried
.endm
.macro set_xcr0 low, index=0
  mov $\low, %eax
  xor %edx, %edx
  mov $\index, %ecx
  xsetbv
.endm
.macro show_osxsave
  mov $1, %eax
  cpuid
  shr $27, %ecx
  and $1, %ecx
  print_hex %ecx, 1
  print_space
.endm
.macro show_xcr0
  xor %ecx, %ecx
  xgetbv
  print_hex %eax, 8
  print_space
.endm
.macro show_size
  mov $13, %eax
  xor %ecx, %ecx
  cpuid
  print_hex %ebx, 8
  print_space
.endm
.macro mask value
  mov $\value, %eax
  xor %edx, %edx
.endm
main:
  mov %cr4, %eax
  or $0x600, %eax
  mov %eax, %cr4
  mov %cr0, %eax
  and $0xfffffff1, %eax
  mov %eax, %cr0
  show_osxsave
  xor %ecx, %ecx
  tries xgetbv
  tries xsave area
  mov %cr4, %eax
  or $0x40000, %eax
  mov %eax, %cr4
  show_osxsave
  show_xcr0
  show_size
  tries set_xcr0 2
  tries set_xcr0 5
  tries set_xcr0 3, 1
  set_xcr0 3
  show_xcr0
  show_size
  fninit
  pxor %xmm1, %xmm1
  pxor %xmm0, %xmm0
  mask 3
  xsave area
  print_hex area+512, 1
  print_space
  mov $0x5678, %ecx
  movd %ecx, %xmm1
  xsave area
  print_hex area+512, 1
  print_space
  print_hex area+176, 8
  print_space
  movl $0x27f, area
  fldcw area
  pxor %xmm1, %xmm1
  movl $0x1fa0, area+24
  mask 1                    /* only x87: marks bit 0, keeps… */
  movl $0, area+512
  xsave area
  print_hex area+512, 1
  print_space
  movd %ecx, %xmm1
  mask 2
  movl $0x1fa0, area+24
  movl $1, area+512         /* no SSE state: initialised, but for MXCSR */
  xrstor area
  movd %xmm1, %ecx
  print_hex %ecx, 8
  print_space
  stmxcsr temporary
  print_hex temporary, 8
  print_space
  mask 3
  tries xsave area+32
  movl $4, area+512
  mask 3
  tries xrstor area
  movl $1, area+512
  movl $1, area+520
  mask 3
  tries xrstor area
  movl $0, area+520
  movl $0x11f80, area+24
  mask 3
  tries xrstor area
  mov %cr0, %eax
  or $8, %eax
  mov %eax, %cr0
  mask 3
  tries xsave area+32       /* #NM comes before #GP */
  mov %cr4, %eax
  and $0xfffbffff, %eax
  mov %eax, %cr4
  tries xsave area+32       /* and #UD before #NM */
  mov %cr4, %eax
  or $0x40000, %eax
  mov %eax, %cr4
  try
  go_user user
user:
  set_xcr0 3
  tried
  ret
.section .data
.align 64
area: .skip 1024
temporary: .skip 16
