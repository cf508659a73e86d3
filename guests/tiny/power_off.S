/* ACPI power-off: the PIIX4's power management function gets its ports at 600h (PMBASE, PMREGMISC) and SLP_EN with SLP_TYP 0 in PM1a_CNT ends the machine
   with status 0. PIIX4 data sheet, "Power Management"; ACPI, "PM1 Control Registers".

   Status: 0
   Expect: off */
.include "tiny.inc"
.section .text
.macro pci_write register, value
  mov $(0x80000b00 | \register), %eax
  mov $0xcf8, %edx
  out %eax, %dx
  mov $\value, %eax
  mov $0xcfc, %edx
  out %eax, %dx
.endm
main:
  pci_write 0x40, 0x601
  pci_write 0x80, 1
  print_char 'o'
  print_char 'f'
  print_char 'f'
  mov $0x2000, %eax
  mov $0x604, %edx
  out %ax, %dx
1:hlt
  jmp 1b
