/* Processes that keep different values in all eight YMM registers, at the same time: over interrupts that switch between them, and over system calls that do.
   Compiled with -m32 -mavx2 -mfma; ends with 0 and says so if nothing was lost. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kProcesses = 3, kRounds = 60, kSpins = 20000, kYields = 2000 };

typedef unsigned Registers[8][8];

static void fill(Registers registers, unsigned seed) {
  for (unsigned i = 0; i < 8; i++)
    for (unsigned j = 0; j < 8; j++) registers[i][j] = seed * 1000003u + i * 101 + j * 7;
}

static int kept_while_computing(unsigned seed) {
  Registers before, after;
  fill(before, seed);
  for (unsigned round = 0; round < kRounds; round++) {
    unsigned spins = kSpins;
    asm volatile(
        "vmovdqu (%1), %%ymm0\n\tvmovdqu 32(%1), %%ymm1\n\tvmovdqu 64(%1), %%ymm2\n\tvmovdqu 96(%1), %%ymm3\n\t"
        "vmovdqu 128(%1), %%ymm4\n\tvmovdqu 160(%1), %%ymm5\n\tvmovdqu 192(%1), %%ymm6\n\tvmovdqu 224(%1), %%ymm7\n"
        "1:\n\tvpaddd %%ymm0, %%ymm1, %%ymm1\n\tvpsubd %%ymm0, %%ymm1, %%ymm1\n\tdec %0\n\tjnz 1b\n\t"
        "vmovdqu %%ymm0, (%2)\n\tvmovdqu %%ymm1, 32(%2)\n\tvmovdqu %%ymm2, 64(%2)\n\tvmovdqu %%ymm3, 96(%2)\n\t"
        "vmovdqu %%ymm4, 128(%2)\n\tvmovdqu %%ymm5, 160(%2)\n\tvmovdqu %%ymm6, 192(%2)\n\tvmovdqu %%ymm7, 224(%2)"
        : "+r"(spins)
        : "r"(before), "r"(after)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
    if (memcmp(before, after, sizeof before) != 0) return 0;
  }
  return 1;
}

static int kept_while_yielding(unsigned seed) {
  const int sched_yield_call = 158;
  Registers before, after;
  for (unsigned round = 0; round < kYields; round++) {
    int result = sched_yield_call;
    fill(before, seed + round);
    asm volatile("vmovdqu (%1), %%ymm3\n\tvmovdqu 32(%1), %%ymm7\n\tint $0x80\n\tvmovdqu %%ymm3, (%2)\n\tvmovdqu %%ymm7, 32(%2)"
                 : "+a"(result)
                 : "r"(before), "r"(after)
                 : "memory", "xmm3", "xmm7");
    if (memcmp(before, after, 64) != 0) return 0;
  }
  return 1;
}

int main(void) {
  int lost = 0;
  for (unsigned n = 1; n <= kProcesses; n++)
    if (fork() == 0) _exit(kept_while_computing(n) && kept_while_yielding(77777 * n) ? 0 : 1);
  for (unsigned n = 0; n < kProcesses; n++) {
    int status = 0;
    wait(&status);
    lost |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }
  puts(lost ? "YMM registers were lost" : "YMM registers were kept");
  return lost;
}
