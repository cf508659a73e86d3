/* A register of the local APIC that stays as it is, read a hundred times by one instruction, which then reads something else at once: when its page
   shows memory (after INVLPG, after a load of CR3), when the APIC has moved (IA32_APIC_BASE), and when the register has been written.
   SDM Vol. 3A, "Local APIC Status and Location", "Local APIC Version Register", "Invalidation of TLBs and Paging-Structure Caches".

   Expect: 00050014 00000077 00050014 00000077 00050014 ffffffff 00050014 09000000 0a000000 */
.include "tiny.inc"
.include "paging.inc"
.set kApic, 0xfee00000
.set kApicEntry, kApic | 0x1b   /* present, writable, not cached */

.section .text
main:
  movl $0x77, kFrame + 0x30
  paging_on
  mov $kHigh, %edi
  mov $0x30, %esi           /* the version */
  map 0, kApicEntry
  call many
  map 0, kFrame | 3
  invlpg kHigh
  call one
  map 0, kApicEntry
  invlpg kHigh
  call many
  map 0, kFrame | 3
  call load_cr3
  call one
  map 0, kApicEntry
  call load_cr3
  call many
  mov $0x1b, %ecx
  rdmsr
  add $0x1000, %eax
  wrmsr
  call one                  /* nobody answers */
  mov $0x1b, %ecx
  rdmsr
  sub $0x1000, %eax
  wrmsr
  call one
  mov $0x20, %esi           /* the identification */
  movl $0x09000000, kHigh + 0x20
  call many
  movl $0x0a000000, kHigh + 0x20
  call one
  ret

load_cr3:
  mov %cr3, %eax
  mov %eax, %cr3
  ret

many:
  mov $100, %ebx
1: call load
  dec %ebx
  jnz 1b
  jmp 2f
one:
  call load
2: print_hex %eax, 8
  print_space
  ret

load:
  mov (%edi, %esi), %eax
  ret
