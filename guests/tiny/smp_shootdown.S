/* TLB shoot-down: one processor takes a page away and sends an interrupt; the other's handler executes INVLPG and its next access faults. Code
   that one processor changes is seen by the other behind a serializing instruction. SDM Vol. 3A, "Propagation of Paging-Structure Changes to
   Multiple Processors", "Handling Self- and Cross-Modifying Code".

   Prints, all from the first processor: what the other read before; its fault's vector; what the changed code returned to it.

   Options: -smp 2
   Expect: 5a 0e 77 */
.include "tiny.inc"
.include "paging.inc"
.include "apic.inc"
.macro wait_for value
1:pause
  cmpl $\value, stage
  jne 1b
.endm
.section .text
main:
  start_other other
  paging_on
  movl $(kDirectory + 0x3000) | 7, kDirectory + 0xfec
  movl $0xfee0001b, kDirectory + 0x3000 + 4 * 0x200
  set_gate 0x40, flush
  set_gate 14, other_fault
  movb $0x5a, kFrame
  map 0, kFrame | 3
  movl $1, stage
  wait_for 2
  print_hex result, 2
  print_space
  map 0, 0
  movl $0xc4040, kApicIcrLow          /* vector 40h to all others */
  wait_for 4
  print_hex fault, 2
  print_space
  movb $0x77, patched + 1
  movl $5, stage
  wait_for 6
  print_hex result, 2
  ret
other:
  wait_for 1
  mov $kDirectory, %eax
  mov %eax, %cr3
  mov %cr0, %eax
  or $0x80010000, %eax
  mov %eax, %cr0
  call patched
  movzbl kHigh, %eax
  mov %eax, result
  movl $2, stage
  sti
  wait_for 3
  cli
  mov kHigh, %al
other_fault:
  movl $14, fault
  movl $4, stage
  wait_for 5
  xor %eax, %eax
  cpuid
  call patched
  mov %eax, result
  movl $6, stage
2:hlt
  jmp 2b
patched:
  mov $0x11, %al
  movzbl %al, %eax
  ret
flush:
  push %eax
  invlpg kHigh
  movl $0, kApicEoi
  movl $3, stage
  pop %eax
  iret
.section .data
.align 4
stage: .long 0
result: .long 0
fault: .long 0
