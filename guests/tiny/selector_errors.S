/* Which fault a bad selector makes, and its error code: the selector without RPL, with TI (4), IDT (2) and EXT (1). EXT is set when the event
   that is being delivered is not a software interrupt. SDM Vol. 3A, "Error Code", "Interrupt 11", "Interrupt 12", "Interrupt 13".

   TCG: leaves EXT clear when the first event is an exception
   Expect: 0d:fff8 0d:000c 0b:0038 0c:0038 0d:0038 0d:0000 0d:0010 0d:0010 0d:0000 0b:0038 0b:0040 0d:0028 0d:0010 0d:0008
           0b:0402 0d:0402 0b:001a 0b:002b 0d:07fa */
.include "tiny.inc"
.section .text
.macro load register, selector
  try
  mov $\selector, %eax
  mov %eax, %\register
  tried
.endm
main:
  load fs, 0xfff8           /* beyond the table */
  load fs, 0x0f             /* there is no LDT */
  set_segment kFree, 0, 0xfffff, 0x12, 0xc
  load fs, 0x38             /* not present */
  load ss, 0x38
  set_segment kFree, 0, 0xfffff, 0x98, 0xc
  load fs, 0x38             /* execute-only */
  load ss, 0
  load ss, 0x13             /* RPL 3 at CPL 0 */
  try
  ljmp $kData0, $0
  tried
  try
  ljmp $0, $0
  tried
  set_segment kFree, 0, 0xfffff, 0x1a, 0xc
  try
  ljmp $0x38, $0
  tried
  movl $0x00080000, gdt + 0x40
  movl $0x00000c00, gdt + 0x44
  try
  lcall $0x40, $0           /* a call gate that is not present */
  tried
  try
  mov $kTss, %eax
  ltr %ax                   /* busy */
  tried
  try
  mov $kData0, %eax
  ltr %ax
  tried
  try
  mov $kCode0, %eax
  lldt %ax
  tried
  movb $0x6e, idt + 0x80 * 8 + 5
  try
  int $0x80
  tried
  movb $0x8e, idt + 0x80 * 8 + 5
  try
  go_user system_call
  tried
  movb $0x6e, idt + 3 * 8 + 5
  try
  int3
  tried
  movb $0x6e, idt + 5 * 8 + 5
  try
  mov $8, %eax
  bound %eax, bounds
  tried
  lidt short_idt
  try
  int $0xff                 /* beyond the IDT's limit */
  tried
  ret
system_call:
  int $0x80
.section .data
bounds: .long 1, 7
short_idt: .word 0x80 * 8 - 1
  .long idt
