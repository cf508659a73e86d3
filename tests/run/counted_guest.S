/* A guest that does a known number of everything that is counted, without firmware: multiboot, flat, paging of its own.
   statistics_test.py builds it and compares the counts; TOUCHES pages are read that no page table entry calls accessed. */
.set kDirectory, 0x200000           /* and a second one, the same, behind it */
.set kTable, 0x202000               /* 0 to 4 MiB, onto itself */
.set kHighTable, 0x203000           /* 8 MiB and up */
.set kApicTable, 0x204000
.set kHigh, 0x800000
.set kApic, 0xfee00000

.section .text
.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)      /* multiboot, loaded by these addresses */
.long header, header, 0, 0, start
.set header, 0x100000
.global start
start:
  mov $stack_top, %esp
  lgdt gdt_register
  ljmp $8, $1f
1:mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov $page_fault, %eax
  mov $14, %ecx
  call set_gate
  mov $undefined, %eax
  mov $6, %ecx
  call set_gate
  mov $software, %eax
  mov $0x40, %ecx
  call set_gate
  mov $interrupt, %eax
  mov $0x50, %ecx
  call set_gate
  lidt idt_register

  mov $kDirectory, %edi             /* two directories, three tables */
  xor %eax, %eax
  mov $0x5000 / 4, %ecx
  rep stosl
  movl $(kTable | 7), kDirectory
  movl $(kHighTable | 7), kDirectory + 4 * (kHigh >> 22)
  movl $(kApicTable | 7), kDirectory + 4 * (kApic >> 22)
  movl $(kTable | 7), kDirectory + 0x1000
  movl $(kHighTable | 7), kDirectory + 0x1000 + 4 * (kHigh >> 22)
  movl $(kApicTable | 7), kDirectory + 0x1000 + 4 * (kApic >> 22)
  movl $(kApic | 3), kApicTable + 4 * ((kApic >> 12) & 0x3ff)
  mov $kTable, %edi
  mov $0x63, %eax                   /* accessed and dirty */
  mov $1024, %ecx
1:stosl
  add $4096, %eax
  loop 1b
  mov $kDirectory, %eax
  mov %eax, %cr3                    /* a load of another one */
  mov %cr0, %eax
  or $0x80010000, %eax
  mov %eax, %cr0

  mov $9, %esi                      /* 9 loads of the same */
1:mov %cr3, %eax
  mov %eax, %cr3
  dec %esi
  jnz 1b
  mov $4, %esi                      /* 4 loads of another one */
1:mov %cr3, %eax
  xor $0x1000, %eax
  mov %eax, %cr3
  dec %esi
  jnz 1b

  mov $7, %esi                      /* 7 CPUID */
1:mov $1, %eax
  cpuid
  dec %esi
  jnz 1b
  mov $5, %esi                      /* 5 reads of the keyboard controller's state */
1:in $0x64, %al
  dec %esi
  jnz 1b
  mov $6, %esi                      /* 6 writes of the POST code */
1:out %al, $0x80
  dec %esi
  jnz 1b
  mov $3, %esi                      /* 3 INT 40h */
1:int $0x40
  dec %esi
  jnz 1b
  mov $2, %esi                      /* 2 #UD */
1:ud2
  dec %esi
  jnz 1b

  mov $kHigh, %ebx                  /* 4 page faults of its own: the handler maps the page that is named */
  mov $4, %esi
1:movb $1, (%ebx)
  add $0x2000, %ebx
  dec %esi
  jnz 1b

  mov $TOUCHES, %esi                /* one hidden page fault each: present, but never accessed */
  mov $kHigh + 0x100000, %ebx
  mov $kHighTable + 4 * 0x100, %edi
  mov $0x300001, %edx
1:mov %edx, (%edi)
  add $0x1000, %edx
  add $4, %edi
  mov (%ebx), %al
  add $0x1000, %ebx
  dec %esi
  jnz 1b

  mov $200, %esi                    /* the local APIC: 200 reads by one instruction of what stays as it is */
1:mov kApic + 0x30, %eax
  dec %esi
  jnz 1b
  mov kApic + 0xf0, %eax            /* the local APIC: 1 read; 1 write, then 8 interrupts with 2 writes each */
  or $0x100, %eax
  mov %eax, kApic + 0xf0
  sti
  mov $8, %esi
1:movl $0x40050, kApic + 0x300      /* to itself, vector 50h */
  nop
  dec %esi
  jnz 1b
  cli
  xor %eax, %eax
  out %al, $0xf4
1:hlt
  jmp 1b

set_gate:                           /* vector ECX to EAX */
  mov %ax, idt(, %ecx, 8)
  movw $8, idt + 2(, %ecx, 8)
  movw $0x8e00, idt + 4(, %ecx, 8)
  shr $16, %eax
  mov %ax, idt + 6(, %ecx, 8)
  ret

page_fault:
  push %eax
  push %edx
  mov %cr2, %eax
  shr $12, %eax
  and $0x3ff, %eax
  mov %eax, %edx
  shl $12, %edx
  or $0x300003, %edx
  mov %edx, kHighTable(, %eax, 4)
  pop %edx
  pop %eax
  add $4, %esp
  iret
undefined:
  addl $2, (%esp)
software:
  iret
interrupt:
  movl $0, kApic + 0xb0
  iret

.section .data
.align 8
gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_register: .word 23
  .long gdt
idt_register: .word 256 * 8 - 1
  .long idt
.align 4096
idt: .fill 256 * 8, 1, 0
.align 4096
stack: .fill 4096, 1, 0
stack_top:
