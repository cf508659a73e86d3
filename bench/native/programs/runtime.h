// What a program of the speed bench stands on instead of a C library: system calls, a little output, and the
// protocol with the host (runtime.c). A library would choose other routines on another processor; this does
// not.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define NOINLINE __attribute__((noinline, noclone))

// i386 system call numbers, as far as the programs need them.
enum Call {
  kExit = 1,
  kFork = 2,
  kRead = 3,
  kWrite = 4,
  kOpen = 5,
  kClose = 6,
  kWaitPid = 7,
  kExecve = 11,
  kSeek = 19,
  kGetPid = 20,
  kPause = 29,
  kKill = 37,
  kPipe = 42,
  kIoctl = 54,
  kGetParent = 64,
  kGetUsage = 77,
  kMunmap = 91,
  kSetTimer = 104,
  kYield = 158,
  kSetAction = 174,
  kMmap2 = 192
};

// Enters the kernel as a C library does: through the routine that the kernel names (AT_SYSINFO), else by INT
// 0x80. Results from -4095 to -1 are errors.
int system_call(u32 number, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f);
#define CALL0(n) system_call(n, 0, 0, 0, 0, 0, 0)
#define CALL1(n, a) system_call(n, (u32)(a), 0, 0, 0, 0, 0)
#define CALL2(n, a, b) system_call(n, (u32)(a), (u32)(b), 0, 0, 0, 0)
#define CALL3(n, a, b, c) system_call(n, (u32)(a), (u32)(b), (u32)(c), 0, 0, 0)

// Prints the reason and ends the program, so that the row is lost and not wrong.
__attribute__((noreturn)) void give_up(const char* reason);
int checked(int result, const char* what);

// Fresh anonymous memory from the kernel.
void* fresh_memory(u32 size);

// Calls `one` count times and gives up unless it computes the same each time; returns what it computed.
u32 repeat(u32 count, u32 (*one)(void));

// A reproducible sequence (xorshift), and a way to fold a value into a checksum.
u32 next_random(u32* state);
static inline u32 fold(u32 sum, u32 value) {
  return (sum << 5 | sum >> 27) * 0x9E3779B1u ^ value;
}

// The words after the count on the command line, ended by a null pointer, and the environment.
extern char** arguments;
extern char** environment;

// Each program defines it: does the row's work `count` times and returns a checksum that does not depend on
// count.
u32 work(u32 count);
