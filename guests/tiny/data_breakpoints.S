/* Data and I/O breakpoints of all lengths: a write breakpoint ignores reads and instruction fetches; read/write takes both; lengths 1, 2, 4 cover aligned
   ranges only, whose low address bits do not count; an access that straddles into the range hits; type 10b is I/O with CR4.DE and watches the
   port range; a trap is behind the instruction, in REP behind the iteration; two breakpoints hit by one access are both in DR6; a breakpoint that
   matches but is not enabled may show too and is not looked at here. DR4 is DR6 without DE. SDM Vol. 3B, "Breakpoint Field Recognition".

   Prints DR6's bits 3:0 for each access, 0 if no #DB came: write breakpoint: read, write, write below, write straddling into it; length 2 at an odd address
   (the even one counts): byte above, byte below; length 4: last byte, one behind; read/write: read; two at once; I/O: a byte in the range,
   one behind, a word that reaches into it; REP MOVSB's ECX in the handler; DR4 as DR6.

   TCG: cannot be asked about I/O
   Expect: 0 1 0 1 1 0 1 0 1 3 1 0 1 2 ffff */
.include "tiny.inc"
.section .text
.macro watch address, control, second=0
  mov $\address, %eax
  mov %eax, %dr0
  mov $\second, %eax
  mov %eax, %dr1
  mov $\control, %eax
  mov %eax, %dr7
.endm
.macro show instruction:vararg
  movl $0, hits
  \instruction
  nop
  print_hex hits, 1
  print_space
.endm
.set kWrite1, 0x00010402
.set kWrite2, 0x00050402
.set kWrite4, 0x000d0402
.set kAccess1, 0x00030402
.set kIo1, 0x00020402
main:
  set_gate 1, debug_trap
  mov %cr4, %eax
  or $8, %eax
  mov %eax, %cr4
  watch area + 4, kWrite1
  show mov area + 4, %al
  show mov %al, area + 4
  show mov %al, area + 3
  show mov %eax, area + 1
  watch area + 5, kWrite2
  show mov %al, area + 5
  show mov %al, area + 3
  watch area + 4, kWrite4
  show mov %al, area + 7
  show mov %al, area + 8
  watch area + 4, kAccess1
  show mov area + 4, %al
  watch area + 4, 0x00dd040a, area + 4
  show mov %eax, area + 4
  watch 0xeb, kIo1
  show in $0xeb, %al
  show in $0xec, %al
  show in $0xea, %ax
  watch area + 5, kWrite1
  mov $area + 8, %esi
  mov $area + 4, %edi
  mov $4, %ecx
  rep movsb
  print_hex left, 1
  print_space
  xor %eax, %eax
  mov %eax, %dr7
  mov %cr4, %eax
  and $~8, %eax
  mov %eax, %cr4
  mov %dr4, %eax
  shr $16, %eax
  print_hex %eax, 4
  ret
debug_trap:
  push %eax
  mov %ecx, left
  mov %dr6, %eax
  and $15, %eax
  or %eax, hits
  mov $0xffff0ff0, %eax
  mov %eax, %dr6
  pop %eax
  iret
.section .data
.align 8
area: .long 0, 0, 0, 0
hits: .long 0
left: .long 0
