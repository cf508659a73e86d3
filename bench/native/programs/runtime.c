// The start of every program of the speed bench, and its protocol with the host on standard input and output:
//
//     program: @ready        host: a line        (the host takes the time, and lets the program go)
//     program: @end SUM MICROSECONDS      host: a line        (the host takes the time; then the program
//     exits)
//
// MICROSECONDS is the processor time of the program and its children as their kernel counts it. The host uses
// it for native processes only, where that kernel is the host's own.
#include "runtime.h"

// The stack at the start holds argc, argv, 0, environment, 0, auxiliary vector.
__asm__(
    ".globl _start\n"
    "_start: movl %esp, %eax\n"
    "  andl $-16, %esp\n"
    "  subl $12, %esp\n"
    "  pushl %eax\n"
    "  call start\n");

__asm__(
    ".globl system_call\n"
    "system_call: pushl %ebp; pushl %edi; pushl %esi; pushl %ebx\n"
    "  movl 20(%esp), %eax; movl 24(%esp), %ebx; movl 28(%esp), %ecx; movl 32(%esp), %edx\n"
    "  movl 36(%esp), %esi; movl 40(%esp), %edi; movl 44(%esp), %ebp\n"
    "  call *enter_kernel\n"
    "  popl %ebx; popl %esi; popl %edi; popl %ebp\n"
    "  ret\n"
    "interrupt_entry: int $0x80\n"
    "  ret\n");

extern char interrupt_entry[];
void* enter_kernel = interrupt_entry;
char** arguments;
char** environment;

static u32 length_of(const char* text) {
  u32 length = 0;
  while (text[length]) ++length;
  return length;
}

static void print(const char* text) {
  CALL3(kWrite, 1, text, length_of(text));
}

void give_up(const char* reason) {
  print("@failed ");
  print(reason);
  print("\n");
  CALL1(kExit, 1);
  for (;;) {
  }
}

int checked(int result, const char* what) {
  if (result < 0 && result > -4096) give_up(what);
  return result;
}

void* fresh_memory(u32 size) {
  enum { kReadWrite = 3, kPrivateAnonymous = 0x22 };
  return (void*)checked(system_call(kMmap2, 0, size, kReadWrite, kPrivateAnonymous, (u32)-1, 0), "mmap");
}

u32 next_random(u32* state) {
  u32 x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}

u32 repeat(u32 count, u32 (*one)(void)) {
  u32 (*volatile call)(void) = one;  // the compiler must not see that all the calls are alike
  u32 sum = call();
  while (--count) {
    if (call() != sum) give_up("computes another result the second time");
  }
  return sum;
}

static u32 used_microseconds(void) {
  struct {
    int user_seconds, user_microseconds, system_seconds, system_microseconds, rest[14];
  } usage;
  u32 total = 0;
  for (int who = -1; who <= 0; ++who) {  // children that were waited for, the program itself
    CALL2(kGetUsage, who, &usage);
    total += (u32)(usage.user_seconds + usage.system_seconds) * 1000000u +
             (u32)(usage.user_microseconds + usage.system_microseconds);
  }
  return total;
}

static char* append_hex(char* to, u32 value) {
  for (int shift = 28; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[value >> shift & 15];
  return to;
}

static void wait_for_host(void) {
  char c = 0;
  while (c != '\n') {
    if (CALL3(kRead, 0, &c, 1) != 1) CALL1(kExit, 2);
  }
}

static u32 parse_number(const char* text) {
  u32 value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (u32)(*text++ - '0');
  return value;
}

__attribute__((used)) static void start(u32* stack) {
  char** words = (char**)(stack + 1);
  u32* rest = stack + 1 + stack[0] + 1;
  environment = (char**)rest;
  while (*rest) ++rest;
  for (++rest; *rest; rest += 2) {
    if (*rest == 32) enter_kernel = (void*)rest[1];  // AT_SYSINFO
  }
  if (stack[0] < 2) give_up("usage: PROGRAM COUNT");
  arguments = words + 2;
  print("@ready\n");
  wait_for_host();
  u32 before = used_microseconds();
  u32 sum = work(parse_number(words[1]));
  u32 used = used_microseconds() - before;
  char line[32] = "@end ";
  char* end = append_hex(line + 5, sum);
  *end++ = ' ';
  end = append_hex(end, used);
  *end++ = '\n';
  *end = 0;
  print(line);
  wait_for_host();
  CALL1(kExit, 0);
}
