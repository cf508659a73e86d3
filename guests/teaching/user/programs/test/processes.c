// The test suite: the system call interface, processes and what time they get.
#include "user/programs/test/suite.h"

// ── system calls with wrong arguments ──

static int raw_call(int number, uint32_t a, uint32_t b, uint32_t c) {
  int answer;
  __asm__ volatile("int $0x80" : "=a"(answer) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return answer;
}

void test_bad_calls(void) {
  EXPECT(raw_call(-1, 0, 0, 0) == -1);
  EXPECT(raw_call(kCallCount, 0, 0, 0) == -1);
  EXPECT(raw_call(0x7fffffff, 0, 0, 0) == -1);
  EXPECT(close(-1) == -1 && close(kMaxOpenFiles) == -1 && close(9) == -1);
  EXPECT(dup(9) == -1 && kill(0) == -1 && kill(99999) == -1 && wait(NULL) == -1);
  EXPECT(sbrk((int)0x80000000) == (void*)-1);
}

void test_bad_pointers(void) {
  static const uint32_t bad[] = {0,          4,          0x3ff000,   0xbfe00000, 0xbffffffd,
                                 0xc0000000, 0xc0100000, 0xfee00000, 0xffffffff};
  int ends[2];
  EXPECT(pipe(ends) == 0);
  EXPECT(write(ends[1], "12345678", 8) == 8);
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; ++i) {
    EXPECT(raw_call(kCallRead, (uint32_t)ends[0], bad[i], 8) == -1);
    EXPECT(raw_call(kCallWrite, (uint32_t)ends[1], bad[i], 8) == -1);
    EXPECT(raw_call(kCallPipe, bad[i], 0, 0) == -1);
    EXPECT(raw_call(kCallExec, (uint32_t) "/bin/echo", bad[i], 0) == -1);
    if (bad[i] != 0xbffffffd) EXPECT(raw_call(kCallOpen, bad[i], kOpenRead, 0) == -1);
  }
  EXPECT(raw_call(kCallRead, (uint32_t)ends[0], kTextStart, 8) == -1);  // code is read-only
  EXPECT(raw_call(kCallRead, (uint32_t)ends[0], (uint32_t)&ends, 0x80000000) == -1);
  EXPECT(raw_call(kCallWrite, (uint32_t)ends[1], kTextStart, 8) == 8);  // but may be read
}

// ── processes ──

void test_fork_exit_wait(void) {
  EXPECT(status_of(exit_42) == 42);
  for (int i = 0; i < 100; ++i) {
    int status = -7;
    int pid = fork();
    if (pid == 0) exit(i);
    EXPECT(pid > 0 && wait(&status) == pid && status == i);
  }
  EXPECT(wait(NULL) == -1);
}

static void sleep_for_ever(void) {
  sleep(0x7fffffff);
}

void test_fork_until_full(void) {
  int counts[2] = {0, 0};
  for (int round = 0; round < 2; ++round) {
    static int pids[kMaxProcesses];
    int pid;
    while ((pid = start_process(sleep_for_ever)) > 0) pids[counts[round]++] = pid;
    for (int i = 0; i < counts[round]; ++i) EXPECT(kill(pids[i]) == 0);
    for (int i = 0; i < counts[round]; ++i) {
      int status;
      EXPECT(wait(&status) > 0 && status == kStatusKilled);
    }
  }
  EXPECT(counts[0] > 32 && counts[0] == counts[1]);
}

void test_orphans(void) {
  int ends[2];
  EXPECT(pipe(ends) == 0);
  if (fork() == 0) {
    if (fork() == 0) {
      sleep(5);
      write(ends[1], "o", 1);
      exit(0);
    }
    exit(0);
  }
  char letter = 0;
  EXPECT(wait(NULL) > 0 && wait(NULL) == -1);  // the grandchild is init's now
  EXPECT(read(ends[0], &letter, 1) == 1 && letter == 'o');
}

static void read_for_ever(void) {
  int ends[2];
  char letter;
  if (pipe(ends) == 0) read(ends[0], &letter, 1);
}

static void spin(void) {
  for (;;) __asm__ volatile("");
}

void test_kill(void) {
  Function* const victims[] = {sleep_for_ever, read_for_ever, spin};
  for (int i = 0; i < 3; ++i) {
    int status;
    int pid = start_process(victims[i]);
    sleep(2);
    EXPECT(kill(pid) == 0 && wait(&status) == pid && status == kStatusKilled);
  }
}

static uint32_t ticks_of(int pid) {
  static struct ProcessInfo rows[kMaxProcesses];
  int count = processes(rows, kMaxProcesses);
  for (int i = 0; i < count; ++i) {
    if (rows[i].pid == pid) return rows[i].ticks;
  }
  return 0;
}

void test_preemption(void) {
  enum { kSpinners = 4, kPatience = 100 };
  int pids[kSpinners];
  for (int i = 0; i < kSpinners; ++i) pids[i] = start_process(spin);
  bool all_ran = false;
  for (int tries = 0; !all_ran && tries < kPatience; ++tries) {
    sleep(5);
    all_ran = true;
    for (int i = 0; i < kSpinners; ++i) all_ran &= ticks_of(pids[i]) > 0;
  }
  for (int i = 0; i < kSpinners; ++i) EXPECT(kill(pids[i]) == 0);
  for (int i = 0; i < kSpinners; ++i) EXPECT(wait(NULL) > 0);
  EXPECT(all_ran);
}

void test_time(void) {
  int before = uptime();
  EXPECT(sleep(10) == 0);
  EXPECT(uptime() - before >= 10);
  for (int i = 0; i < 100; ++i) EXPECT(yield() == 0);
}

// Registers must survive interrupts and switches.
static void hold_registers(void) {
  for (uint32_t round = 0; round < 3000000; ++round) {
    uint32_t sum;
    __asm__ volatile(
        "mov $0x11111111, %%ebx; mov $0x22222222, %%ecx; mov $0x33333333, %%edx\n"
        "mov $0x44444444, %%esi; mov $0x05555555, %%edi\n"
        "nop; nop\n"
        "lea (%%ebx,%%ecx), %%eax; add %%edx, %%eax; add %%esi, %%eax; add %%edi, %%eax"
        : "=a"(sum)
        :
        : "ebx", "ecx", "edx", "esi", "edi");
    if (sum != 0xafffffffu) exit(1);
  }
}

void test_registers(void) {
  int status;
  for (int i = 0; i < 3; ++i) start_process(hold_registers);
  for (int i = 0; i < 3; ++i) EXPECT(wait(&status) > 0 && status == 0);
}
