/* A contributory exception while another is delivered is a double fault, error code 0; a benign one first, or a page fault second after a
   contributory one, is not. SDM Vol. 3A, "Interrupt 8—Double Fault Exception (#DF)", tables 6-4 and 6-5.

   Prints: #DE whose gate is missing (DF), #UD (benign) whose gate is missing (NP, IDT and EXT), #GP whose gate is missing (DF), then #DF through
   a task gate: in the task its stacked error code, and the back link.

   TCG: leaves EXT clear when the first event is an exception
   Expect: 08:0000 0b:0033 08:0000 0000 0028 */
.include "tiny.inc"
.section .text
main:
  andb $0x7f, idt + 0 * 8 + 5
  andb $0x7f, idt + 6 * 8 + 5
  andb $0x7f, idt + 13 * 8 + 5
  try
  xor %ecx, %ecx
  div %ecx
  tried
  try
  ud2
  tried
  try
  mov $0xfff8, %eax
  mov %eax, %fs
  tried
  movl $task, tss2 + 0x20
  movl $2, tss2 + 0x24
  movl $stack_top, tss2 + 0x38
  movl $kData0, tss2 + 0x48
  movl $kCode0, tss2 + 0x4c
  movl $kData0, tss2 + 0x50
  movl $kData0, tss2 + 0x54
  movl $kTss2 << 16, idt + 8 * 8
  movl $0xe500, idt + 8 * 8 + 4
  mov $0xfff8, %eax
  mov %eax, %fs
task:
  pop %ecx
  print_hex %ecx, 4
  print_space
  print_hex tss2, 4
  jmp tiny_exit
