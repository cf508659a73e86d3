/* The edges of segments: the last byte of a limit for each width; expand-down segments, whose valid offsets are limit + 1 up to FFFFh (B clear) or FFFFFFFFh (B set);
   an expand-down segment with the greatest limit has no valid offset; in a flat segment an access at FFFFFFFEh of a double word wraps or faults
   (either is allowed: not looked at), its base plus offset wraps at 4 GiB; a limit in pages covers the low 12 bits; the code segment's limit is
   met by the last byte of an instruction. SDM Vol. 3A, "Segment Descriptors", "Limit Checking".

   Prints `-` where nothing happened: limit FFFh: byte FFFh, word FFEh, double word FFDh, quadword FF9h (MOVQ); limit 1 with pages: 1FFFh, 2000h; expand-down FFFh, 16
   bits: 1000h, FFFEh word, FFFFh word, 10000h; 32 bits: FFFh, 10000h; the greatest limit: FFFFh; the wrap (a word read through base FFFF0000h); a jump to the
   limit of a code segment (one byte), and of a two-byte instruction there.

   TCG: checks no limits
   Expect: - - 0d:0000 0d:0000 - 0d:0000 - - 0d:0000 0d:0000 0d:0000 - 0d:0000 cafe 80:0000 0d:0000 */
.include "tiny.inc"
.section .text
.macro segment base, limit, access, flags=4
  set_segment kFree, \base, \limit, \access, \flags
  mov $kFree, %eax
  mov %eax, %fs
.endm
.macro case instruction:vararg
  try
  \instruction
  print_char '-'
  print_space
  tried
  mov $kFree, %eax
  mov %eax, %fs
.endm
main:
  segment 0, 0xfff, 0x93
  case mov %fs:0xfff, %al
  case mov %fs:0xffe, %ax
  case mov %fs:0xffd, %eax
  case movq %fs:0xff9, %mm0
  segment 0, 1, 0x93, 0xc
  case mov %fs:0x1fff, %al
  case mov %fs:0x2000, %al
  segment 0, 0xfff, 0x97, 0
  case mov %fs:0x1000, %al
  case mov %fs:0xfffe, %ax
  case mov %fs:0xffff, %ax
  case mov %fs:0x10000, %al
  segment 0, 0xfff, 0x97, 4
  case mov %fs:0xfff, %al
  case mov %fs:0x10000, %al
  segment 0, 0xffff, 0x97, 0
  case mov %fs:0xffff, %al
  movw $0xcafe, 0x80000
  segment 0xffff0000, 0xfffff, 0x93, 0xc
  mov %fs:0x90000, %ax
  print_hex %eax, 4
  print_space
  movb $0xcd, 0x80fff                 /* INT 80h across the limit, then with its second byte within */
  movb $0x80, 0x81000
  movw $0x80cd, 0x80ffe
  set_segment kFree, 0x80000, 0xfff, 0x9b, 4
  try
  ljmp $kFree, $0xffe
  tried
  movb $0xcd, 0x80fff
  try
  ljmp $kFree, $0xfff
  tried
  emms
  ret
