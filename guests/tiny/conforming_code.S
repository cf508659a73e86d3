/* A conforming segment of DPL 0 can be called from CPL 3 and runs there; a nonconforming one cannot. From CPL 0 a conforming segment of DPL 3
   cannot be called. SDM Vol. 3A, "Accessing Conforming Code Segments".

   Prints: CPL inside and the selector outside, then the two faults.

   Expect: 3 003b 80:0000 0d:0008 0d:0038 */
.include "tiny.inc"
.section .text
main:
  set_segment kFree, 0, 0xfffff, 0x9f, 0xc
  try
  go_user call_conforming, 3
  tried
  try
  go_user call_other, 3
  tried
  set_segment kFree, 0, 0xfffff, 0xff, 0xc
  try
  lcall $kFree, $inside
  tried
  ret
inside:
  mov %cs, %ecx
  mov %ecx, %esi
  and $3, %ecx
  print_hex %ecx, 1
  print_space
  lret
call_conforming:
  lcall $kFree, $inside     /* the selector's RPL is not looked at, CS.RPL becomes CPL */
  print_hex %esi, 4
  print_space
  int $0x80
call_other:
  lcall $kCode0, $inside
