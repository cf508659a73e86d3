/* IRET and RET to an outer level make data segment registers that the new level may not use null, and an access through a null selector is
   #GP(0), not the load of it. Loading GS with a data segment of DPL 0 at CPL 3 is #GP(selector); VERR, VERW, LAR and LSL answer without a fault.
   SDM Vol. 3A, "Privilege Level Checking When Accessing Data Segments", "Null Segment Selector Checking"; Vol. 2, "VERR/VERW", "LAR", "LSL".

   TCG: lets an access through a null selector pass
   Expect: 0000 0d:0000 0d:0010 01 00 0000f300 ffffffff 80:0000 */
.include "tiny.inc"
.section .text
main:
  mov $kData0, %eax
  mov %eax, %gs
  try
  go_user show_gs, 3
  tried
  try
  go_user load_gs, 3
  tried
  try
  go_user ask, 3
  tried
  ret
show_gs:
  mov %gs, %eax
  print_hex %eax, 4
  print_space
  mov %gs:0, %eax
load_gs:
  mov $kData0, %eax
  mov %eax, %gs
ask:
  xor %ebx, %ebx
  mov $kData3, %eax
  verw %ax
  sete %bl
  print_hex %ebx, 2
  print_space
  mov $kData0, %eax
  verr %ax
  sete %bl
  print_hex %ebx, 2
  print_space
  mov $kData3, %eax
  lar %eax, %ebx
  and $0xff00, %ebx
  print_hex %ebx, 8
  print_space
  lsl %eax, %ebx
  print_hex %ebx, 8
  print_space
  int $0x80
