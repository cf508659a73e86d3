// A kernel as small as the exercise allows: two programs, two page tables, one system call, one interrupt.
//
//   A calls read()        no byte is there: A waits, the kernel switches to B
//   B computes            the keyboard interrupts, the kernel takes the byte and switches back
//   A's read() returns
//
// docs/overhead-exercise.md counts what that costs in a virtual machine.
typedef unsigned char Byte;
typedef unsigned short Word;
typedef unsigned int Dword;

enum {
  kProgram = 0x08048000,     // where both programs believe to be, a page of code and one of stack behind it
  kUserCode = 0x1b,
  kUserData = 0x23,
  kPresent = 1,
  kWritable = 2,
  kUser = 4,
  kInterruptsOn = 0x202,
  kKeyboardVector = 0x21,
  kSystemCallVector = 0x80,
  kPageSize = 4096,
};

// What door (entry.S) and the processor push.
struct Frame {
  Dword es, ds, edi, esi, ebp, unused, ebx, edx, ecx, eax;
  Dword eip, cs, eflags, esp, ss;
};

typedef struct {
  struct Frame* frame;  // to go back by; lies on the kernel stack
  Dword page_table;     // for CR3
  Dword stack;          // top of the kernel stack, for the TSS
} Program;

extern Byte reader_start[], computer_start[];  // exercise.ld
void system_call_door(void);
void keyboard_door(void);
void load_tables(const void* gdt, const void* idt);
void turn_on_paging(Dword page_table);
void enter_program(struct Frame* frame) __attribute__((noreturn));

typedef Dword Table[1024] __attribute__((aligned(kPageSize)));
static Table directories[2], kernel_table, program_tables[2];
static Byte user_stacks[2][kPageSize] __attribute__((aligned(kPageSize)));
static Byte kernel_stacks[2][kPageSize] __attribute__((aligned(kPageSize)));

static struct { Dword link, esp0, ss0, rest[23]; } tss;
static Dword idt[256][2];
static Dword gdt[6][2] = {{0, 0},                  {0xffff, 0x00cf9b00}, {0xffff, 0x00cf9300},
                          {0xffff, 0x00cffb00},    {0xffff, 0x00cff300}, {0, 0}};
static struct { Word limit; const void* base; } __attribute__((packed)) gdt_register, idt_register;

static Program programs[2];  // A, B
static Program* running;
static int a_waits;
static Byte keys[8];
static unsigned key_count;

static void out(Word port, Byte value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static Byte in(Word port) {
  Byte value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

// The switch: another kernel stack for the next way in, another page table, another frame to go back by.
static struct Frame* switch_to(Program* next) {
  running = next;
  tss.esp0 = next->stack;
  __asm__ volatile("mov %0, %%cr3" : : "r"(next->page_table) : "memory");
  return next->frame;
}

static Byte take_key(void) {
  const Byte key = keys[0];
  for (unsigned i = 1; i < key_count; ++i) keys[i - 1] = keys[i];
  --key_count;
  return key;
}

// read(): a byte from the keyboard. Without one, the other program's turn.
struct Frame* system_call(struct Frame* frame) {
  running->frame = frame;
  if (key_count == 0) {
    a_waits = 1;
    return switch_to(&programs[1]);
  }
  frame->eax = take_key();
  return frame;
}

struct Frame* keyboard_interrupt(struct Frame* frame) {
  running->frame = frame;
  const Byte key = in(0x60);
  if (key_count < sizeof keys) keys[key_count++] = key;
  out(0x20, 0x20);  // end of interrupt
  if (!a_waits) return frame;
  a_waits = 0;
  programs[0].frame->eax = take_key();
  return switch_to(&programs[0]);
}

static void make_program(unsigned n, const Byte* code) {
  Program* program = &programs[n];
  directories[n][0] = (Dword)kernel_table | kPresent | kWritable;
  directories[n][kProgram >> 22] = (Dword)program_tables[n] | kPresent | kWritable | kUser;
  const unsigned page = (kProgram >> 12) & 1023;
  program_tables[n][page] = (Dword)code | kPresent | kUser;
  program_tables[n][page + 1] = (Dword)user_stacks[n] | kPresent | kWritable | kUser;
  program->page_table = (Dword)directories[n];
  program->stack = (Dword)kernel_stacks[n] + kPageSize;
  program->frame = (struct Frame*)program->stack - 1;
  *program->frame = (struct Frame){.es = kUserData, .ds = kUserData, .eip = kProgram, .cs = kUserCode,
                                   .eflags = kInterruptsOn, .esp = kProgram + 2 * kPageSize, .ss = kUserData};
}

static void set_gate(unsigned vector, void (*door)(void)) {
  idt[vector][0] = 0x00080000 | ((Dword)door & 0xffff);
  idt[vector][1] = ((Dword)door & 0xffff0000) | 0xee00;  // interrupt gate, for programs, too
}

static void make_tables(void) {
  for (Dword i = 0; i < 1024; ++i) kernel_table[i] = i * kPageSize | kPresent | kWritable;
  const Dword base = (Dword)&tss;
  tss.ss0 = 0x10;
  gdt[5][0] = base << 16 | (sizeof tss - 1);
  gdt[5][1] = (base & 0xff000000) | 0x8900 | (base >> 16 & 0xff);
  set_gate(kKeyboardVector, keyboard_door);
  set_gate(kSystemCallVector, system_call_door);
  gdt_register.limit = sizeof gdt - 1;
  gdt_register.base = gdt;
  idt_register.limit = sizeof idt - 1;
  idt_register.base = idt;
}

// Interrupt controller: vectors from 20h on, nothing but the keyboard. Keyboard controller: interrupts on.
static void make_devices(void) {
  static const Byte commands[] = {0x11, kKeyboardVector - 1, 4, 1, 0xfd};
  out(0x20, commands[0]);
  for (unsigned i = 1; i < sizeof commands; ++i) out(0x21, commands[i]);
  out(0x64, 0x60);
  out(0x60, 0x41);
  out(0x64, 0xae);
}

void kernel_main(void) {
  make_tables();
  make_program(0, reader_start);
  make_program(1, computer_start);
  load_tables(&gdt_register, &idt_register);
  make_devices();
  turn_on_paging(programs[0].page_table);
  enter_program(switch_to(&programs[0]));
}
