/* The I/O APIC: pin 2 has the PIT (as ACPI's override says) and delivers its edges to the local APIC at the vector of its redirection entry; a masked
   entry delivers nothing; the index and data registers at FEC00000h. 82093AA data sheet, "Redirection Table Registers".

   Prints: the number of the last entry (version register), whether a masked entry stayed silent, two deliveries.

   Expect: 17 - 61 61 */
.include "tiny.inc"
.include "pic.inc"
.set kApic, 0xfee00000
.set kIoApic, 0xfec00000
.macro write_entry index, value
  movl $\index, kIoApic
  movl $\value, kIoApic + 0x10
.endm
.section .text
main:
  pic_init 0xff, 0xff
  movl $0x10000, kApic + 0x350        /* LINT0 masked */
  set_gate 0x61, tick
  movl $1, kIoApic
  mov kIoApic + 0x10, %eax
  shr $16, %eax
  print_hex %eax, 2
  print_space
  write_entry 0x15, 0                 /* to processor 0 */
  write_entry 0x14, 0x10061           /* masked */
  pit_rate 1193
  sti
  mov $5000, %ecx
1:in $0x80, %al
  loop 1b
  cli
  print_char '-'
  print_space
  write_entry 0x14, 0x61
2:sti
  hlt
  cli
  cmpl $2, ticks
  jb 2b
  ret
tick:
  incl ticks
  cmpl $2, ticks
  ja 1f
  print_hex $0x61, 2
  print_space
1:movl $0, kApic + 0xb0
  iret
.section .data
ticks: .long 0
