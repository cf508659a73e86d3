// test [name]…: the test suite. Every test runs in a process of its own, in a directory of its own. The last
// line says whether all tests passed.
#include "user/library/pane.h"

enum { kPage = 4096, kKernelBase = (int)0xC0000000, kTextStart = 0x00400000, kMiB = 1 << 20 };

#define EXPECT(condition) \
  if (!(condition)) fail("  line %d: not so: %s\n", __LINE__, #condition)

// ── helpers ──

typedef void Function(void);

static int start(Function* function) {
  int pid = fork();
  if (pid == 0) {
    function();
    exit(0);
  }
  return pid;
}

static int status_of(Function* function) {
  int status = 12345;
  int pid = start(function);
  if (pid < 0 || wait(&status) != pid) return 54321;
  return status;
}

static void write_file(const char* path, const char* text) {
  int file = open(path, kOpenWrite | kOpenCreate | kOpenTruncate);
  EXPECT(file >= 0);
  EXPECT(write(file, text, (int)strlen(text)) == (int)strlen(text));
  EXPECT(close(file) == 0);
}

static void expect_text(const char* path, const char* text) {
  char buffer[256];
  int file = open(path, kOpenRead);
  EXPECT(file >= 0);
  int size = read(file, buffer, sizeof buffer - 1);
  EXPECT(size >= 0);
  buffer[size] = 0;
  EXPECT(strcmp(buffer, text) == 0);
  close(file);
}

static uint32_t random_state = 1;

static uint32_t random_number(void) {
  random_state = random_state * 1664525 + 1013904223;
  return random_state >> 8;
}

// ── system calls with wrong arguments ──

static int raw_call(int number, uint32_t a, uint32_t b, uint32_t c) {
  int answer;
  __asm__ volatile("int $0x80" : "=a"(answer) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return answer;
}

static void test_bad_calls(void) {
  EXPECT(raw_call(-1, 0, 0, 0) == -1);
  EXPECT(raw_call(kCallCount, 0, 0, 0) == -1);
  EXPECT(raw_call(0x7fffffff, 0, 0, 0) == -1);
  EXPECT(close(-1) == -1 && close(kMaxOpenFiles) == -1 && close(9) == -1);
  EXPECT(dup(9) == -1 && kill(0) == -1 && kill(99999) == -1 && wait(NULL) == -1);
  EXPECT(sbrk((int)0x80000000) == (void*)-1);
}

static void test_bad_pointers(void) {
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

static void exit_42(void) {
  exit(42);
}

static void test_fork_exit_wait(void) {
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

static void test_fork_until_full(void) {
  int counts[2] = {0, 0};
  for (int round = 0; round < 2; ++round) {
    static int pids[kMaxProcesses];
    int pid;
    while ((pid = start(sleep_for_ever)) > 0) pids[counts[round]++] = pid;
    for (int i = 0; i < counts[round]; ++i) EXPECT(kill(pids[i]) == 0);
    for (int i = 0; i < counts[round]; ++i) {
      int status;
      EXPECT(wait(&status) > 0 && status == kStatusKilled);
    }
  }
  EXPECT(counts[0] > 32 && counts[0] == counts[1]);
}

static void test_orphans(void) {
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

static void test_kill(void) {
  Function* const victims[] = {sleep_for_ever, read_for_ever, spin};
  for (int i = 0; i < 3; ++i) {
    int status;
    int pid = start(victims[i]);
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

static void test_preemption(void) {
  enum { kSpinners = 4, kPatience = 100 };
  int pids[kSpinners];
  for (int i = 0; i < kSpinners; ++i) pids[i] = start(spin);
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

static void test_time(void) {
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

static void test_registers(void) {
  int status;
  for (int i = 0; i < 3; ++i) start(hold_registers);
  for (int i = 0; i < 3; ++i) EXPECT(wait(&status) > 0 && status == 0);
}

// ── memory ──

static int shared[3 * kPage];

static void test_copy_on_write(void) {
  int ends[2];
  EXPECT(pipe(ends) == 0);
  for (int i = 0; i < 3 * kPage; ++i) shared[i] = i;
  int child = fork();
  if (child == 0) {
    if (fork() == 0) {
      shared[kPage] = -3;
      exit(shared[0] == 0 ? 0 : 1);
    }
    int status;
    wait(&status);
    if (status != 0 || shared[kPage] != kPage) exit(1);
    shared[0] = -1;
    EXPECT(read(ends[0], &shared[2 * kPage], 4) == 4);  // the kernel writes to a shared page
    exit(shared[0] == -1 && shared[2 * kPage] == 0x64636261 ? 0 : 1);
  }
  shared[1] = -2;
  EXPECT(write(ends[1], "abcd", 4) == 4);
  int status;
  EXPECT(wait(&status) == child && status == 0);
  EXPECT(shared[0] == 0 && shared[1] == -2 && shared[kPage] == kPage && shared[2 * kPage] == 2 * kPage);
}

static void test_heap(void) {
  char* start_of_heap = sbrk(0);
  EXPECT(sbrk(10 * kPage) == start_of_heap);
  for (int i = 0; i < 10 * kPage; ++i) EXPECT(start_of_heap[i] == 0);
  memset(start_of_heap, 7, 10 * kPage);
  EXPECT(sbrk(-9 * kPage) == start_of_heap + 10 * kPage);
  EXPECT(start_of_heap[kPage - 1] == 7);
  EXPECT(sbrk(9 * kPage) == start_of_heap + kPage);
  EXPECT(start_of_heap[kPage] == 0);
  EXPECT(sbrk(-11 * kPage) == (void*)-1);
  EXPECT(sbrk(512 * kMiB) == start_of_heap + 10 * kPage);  // costs nothing until touched
  start_of_heap[300 * kMiB] = 1;
  EXPECT(start_of_heap[300 * kMiB + 1] == 0);
}

static void use_all_memory(void) {
  for (;;) {
    volatile char* page = sbrk(kPage);
    if (page == (volatile char*)-1) exit(0);
    *page = 1;
  }
}

static void test_out_of_memory(void) {
  for (int i = 0; i < 2; ++i) {
    int status = status_of(use_all_memory);
    EXPECT(status == kStatusKilled || status == 0);
  }
  EXPECT(status_of(exit_42) == 42);
}

static int recurse(int depth) {
  volatile char frame[1024];
  frame[0] = (char)depth;
  frame[1023] = 1;
  return depth == 0 ? frame[1023] : recurse(depth - 1) + frame[1023];
}

static void test_stack_grows(void) {
  EXPECT(recurse(700) == 701);
}

// ── what a program may not do ──

static void read_null(void) {
  (void)*(volatile int*)0;
}
static void write_code(void) {
  *(volatile int*)kTextStart = 1;
}
static void read_kernel(void) {
  (void)*(volatile int*)(kKernelBase + 0x100000);
}
static void write_kernel(void) {
  *(volatile int*)(kKernelBase + 0x100000) = 0;
}
static void write_apic(void) {
  *(volatile int*)0xfee000b0 = 0;
}
static void beyond_heap(void) {
  *(volatile char*)((char*)sbrk(0) + 2 * kPage) = 1;
}
static void endless_stack(void) {
  recurse(2000);
}
static void jump_to_kernel(void) {
  ((Function*)0xc0100010)();
}
static void divide(void) {
  __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" : : : "eax", "ecx", "edx");
}
static void undefined(void) {
  __asm__ volatile("ud2");
}
static void no_interrupts(void) {
  __asm__ volatile("cli");
}
static void stop_machine(void) {
  __asm__ volatile("hlt");
}
static void use_port(void) {
  __asm__ volatile("inb $0x64, %%al" : : : "eax");
}
static void load_page_table(void) {
  __asm__ volatile("mov %0, %%cr3" : : "r"(0));
}
static void fake_interrupt(void) {
  __asm__ volatile("int $0x20");
}
static void fake_page_fault(void) {
  __asm__ volatile("int $14");
}
static void break_point(void) {
  __asm__ volatile("int3");
}
static void single_step(void) {
  __asm__ volatile("pushf; orl $0x100, (%%esp); popf; nop; nop" : : : "memory");
}
static void kernel_segment(void) {
  __asm__ volatile("mov %0, %%ds" : : "r"(0x10));
}
static void cpu_segment(void) {
  __asm__ volatile("mov %0, %%gs; mov %%gs:0, %0" : : "r"(0x30));
}
static void far_jump(void) {
  __asm__ volatile("ljmp $0x08, $0xc0100010");
}
static void floating_point(void) {
  __asm__ volatile("fldz");
}

static void test_protection(void) {
  Function* const crimes[] = {read_null,       write_code,     read_kernel, write_kernel,   write_apic,
                              beyond_heap,     endless_stack,  divide,      jump_to_kernel, undefined,
                              no_interrupts,   stop_machine,   use_port,    far_jump,       fake_interrupt,
                              load_page_table, kernel_segment, cpu_segment, break_point,    single_step,
                              floating_point,  fake_page_fault};
  for (unsigned i = 0; i < sizeof crimes / sizeof *crimes; ++i) {
    if (status_of(crimes[i]) != kStatusKilled) fail("  crime %u went unpunished\n", i);
  }
}

// The interrupt flag and the privilege level are not for user mode to change with POPF.
static void test_flags(void) {
  uint32_t flags;
  __asm__ volatile("pushf; andl $~0x200, (%%esp); orl $0x3000, (%%esp); popf; pushf; pop %0"
                   : "=r"(flags)
                   :
                   : "memory", "cc");
  EXPECT((flags & 0x3200) == 0x200);
}

// ── pipes and open files ──

static void test_pipe(void) {
  enum { kTotal = 200000 };
  int ends[2];
  EXPECT(pipe(ends) == 0);
  int pid = fork();
  if (pid == 0) {
    char piece[700];
    close(ends[0]);
    for (int sent = 0; sent < kTotal;) {
      int size = 1 + (int)(random_number() % sizeof piece);
      if (size > kTotal - sent) size = kTotal - sent;
      for (int i = 0; i < size; ++i) piece[i] = (char)((sent + i) * 7);
      if (write(ends[1], piece, size) != size) exit(1);
      sent += size;
    }
    exit(0);
  }
  close(ends[1]);
  static char buffer[5000];
  int got = 0, size;
  while ((size = read(ends[0], buffer, 1 + (int)(random_number() % sizeof buffer))) > 0) {
    for (int i = 0; i < size; ++i) EXPECT(buffer[i] == (char)((got + i) * 7));
    got += size;
  }
  int status;
  EXPECT(size == 0 && got == kTotal && wait(&status) == pid && status == 0);
}

static void test_pipe_ends(void) {
  int ends[2];
  char letter;
  EXPECT(pipe(ends) == 0);
  EXPECT(read(ends[1], &letter, 1) == -1 && write(ends[0], "x", 1) == -1);
  EXPECT(write(ends[1], "x", 1) == 1 && close(ends[1]) == 0);
  EXPECT(read(ends[0], &letter, 1) == 1 && read(ends[0], &letter, 1) == 0);
  close(ends[0]);
  EXPECT(pipe(ends) == 0 && close(ends[0]) == 0 && write(ends[1], "x", 1) == -1);
}

static void test_file_numbers(void) {
  int opened = 0;
  while (open("/dev/null", kOpenRead) >= 0) ++opened;
  EXPECT(opened == kMaxOpenFiles - 3);
  int ends[2];
  EXPECT(pipe(ends) == -1);
  EXPECT(close(5) == 0 && pipe(ends) == -1);
  EXPECT(close(7) == 0 && dup(0) == 5 && dup(0) == 7 && dup(0) == -1);
}

static void test_shared_offset(void) {
  write_file("shared", "abcdef");
  int file = open("shared", kOpenRead);
  int copy = dup(file);
  char text[3] = "..";
  EXPECT(read(file, text, 2) == 2 && strcmp(text, "ab") == 0);
  EXPECT(read(copy, text, 2) == 2 && strcmp(text, "cd") == 0);
  if (fork() == 0) {
    read(file, text, 1);
    exit(0);
  }
  EXPECT(wait(NULL) > 0 && read(file, text, 2) == 1 && text[0] == 'f');
}

// ── files ──

static void test_files(void) {
  struct FileInfo information;
  write_file("a", "one");
  expect_text("a", "one");
  write_file("a", "2");  // truncated
  expect_text("a", "2");
  int file = open("a", kOpenWrite | kOpenAppend);
  EXPECT(write(file, "+3", 2) == 2 && read(file, &information, 1) == -1);
  EXPECT(fstat(file, &information) == 0 && information.size == 3 && information.type == kInodeFile &&
         information.links == 1);
  close(file);
  expect_text("a", "2+3");
  EXPECT(unlink("a") == 0 && unlink("a") == -1 && open("a", kOpenRead) == -1);
  EXPECT(open("/", kOpenWrite) == -1 && open("no/file", kOpenCreate) == -1);
}

static void test_unlink_open(void) {
  write_file("gone", "still here");
  int file = open("gone", kOpenRead);
  char text[16] = {0};
  EXPECT(unlink("gone") == 0 && open("gone", kOpenRead) == -1);
  EXPECT(read(file, text, sizeof text) == 10 && strcmp(text, "still here") == 0);
}

static void fill(uint32_t* words, int count, uint32_t seed) {
  for (int i = 0; i < count; ++i) words[i] = seed * 0x9e3779b9u + (uint32_t)i;
}

// Long enough for the doubly indirect block.
static void test_big_file(void) {
  enum { kWords = 512, kPieces = 180 };
  static uint32_t words[kWords], expected[kWords];
  int file = open("big", kOpenWrite | kOpenCreate);
  for (uint32_t i = 0; i < kPieces; ++i) {
    fill(words, kWords, i);
    EXPECT(write(file, words, sizeof words) == sizeof words);
  }
  close(file);
  file = open("big", kOpenRead);
  for (uint32_t i = 0; i < kPieces; ++i) {
    fill(expected, kWords, i);
    EXPECT(read(file, words, sizeof words) == sizeof words && memcmp(words, expected, sizeof words) == 0);
  }
  EXPECT(read(file, words, 1) == 0);
  close(file);
  EXPECT(unlink("big") == 0);
}

static void test_directories(void) {
  char name[] = "file-00";
  struct DirectoryEntry entry;
  EXPECT(mkdir("d") == 0 && mkdir("d") == -1 && mkdir("d/e") == 0 && mkdir("x/y") == -1);
  EXPECT(chdir("d/e") == 0);
  for (int i = 0; i < 60; ++i) {
    name[5] = (char)('0' + i / 10);
    name[6] = (char)('0' + i % 10);
    write_file(name, name);
  }
  EXPECT(chdir("../..") == 0 && unlink("d/e") == -1 && unlink("d") == -1);
  int count = 0;
  int file = open("d/e", kOpenRead);
  while (readdir(file, &entry) == 1) ++count;
  EXPECT(count == 62 && close(file) == 0);
  EXPECT(chdir("/../tmp/../tmp/.") == 0 && chdir("test/d/e") == 0);
  for (int i = 0; i < 60; ++i) {
    name[5] = (char)('0' + i / 10);
    name[6] = (char)('0' + i % 10);
    expect_text(name, name);
    EXPECT(unlink(name) == 0);
  }
  EXPECT(unlink(".") == -1 && unlink("..") == -1 && unlink("/") == -1 && unlink("../e") == 0);
  EXPECT(open("lost", kOpenWrite | kOpenCreate) == -1);  // this directory is no more
  EXPECT(chdir("/tmp/test") == 0 && unlink("d") == 0);
}

static void test_long_names(void) {
  char name[kMaxName + 2];
  memset(name, 'n', sizeof name);
  name[kMaxName] = 0;
  write_file(name, "long");
  expect_text(name, "long");
  EXPECT(unlink(name) == 0);
  name[kMaxName] = 'n';
  name[kMaxName + 1] = 0;
  EXPECT(open(name, kOpenWrite | kOpenCreate) == -1 && mkdir(name) == -1);
}

static void torture(int self) {
  char name[] = "t?-?";
  char text[] = "?? by ?";
  name[1] = text[6] = (char)('a' + self);
  for (int round = 0; round < 40; ++round) {
    name[3] = (char)('0' + random_number() % 4);
    text[0] = (char)('a' + round % 26);
    text[1] = name[3];
    write_file(name, text);
    expect_text(name, text);
    if (round % 3 == 0) EXPECT(unlink(name) == 0);
  }
  for (int i = 0; i < 4; ++i) {
    name[3] = (char)('0' + i);
    unlink(name);
  }
}

static void test_many_writers(void) {
  enum { kWriters = 5 };
  for (int i = 0; i < kWriters; ++i) {
    if (fork() == 0) {
      random_state = (uint32_t)i;
      torture(i);
      exit(0);
    }
  }
  int status;
  for (int i = 0; i < kWriters; ++i) EXPECT(wait(&status) > 0 && status == 0);
}

static void test_disk_full(void) {
  static char block[8192];
  int sizes[2] = {0, 0};
  for (int round = 0; round < 2; ++round) {
    int file = open("full", kOpenWrite | kOpenCreate);
    int size;
    while ((size = write(file, block, sizeof block)) > 0) sizes[round] += size;
    close(file);
    EXPECT(mkdir("no-room") == -1);
    EXPECT(unlink("full") == 0);
  }
  EXPECT(sizes[0] > 0 && sizes[0] == sizes[1]);
}

// ── programs ──

static void run_script(const char* script, const char* expected) {
  write_file("script", script);
  int pid = fork();
  if (pid == 0) {
    char* arguments[] = {"sh", "script", NULL};
    exec("/bin/sh", arguments);
    exit(1);
  }
  int status;
  EXPECT(wait(&status) == pid && status == 0);
  expect_text("out", expected);
  EXPECT(unlink("script") == 0 && unlink("out") == 0);
}

static void test_exec(void) {
  char* arguments[kMaxArguments + 2] = {"echo", NULL};
  EXPECT(exec("/bin/missing", arguments) == -1 && exec("/bin", arguments) == -1);
  write_file("text", "not a program, but quite long enough to hold a header if it were one...");
  EXPECT(exec("text", arguments) == -1 && unlink("text") == 0);
  for (int i = 0; i <= kMaxArguments; ++i) arguments[i] = "x";
  EXPECT(exec("/bin/echo", arguments) == -1);
  static char long_word[kPage];
  memset(long_word, 'w', sizeof long_word - 1);
  arguments[1] = long_word;
  arguments[2] = NULL;
  EXPECT(exec("/bin/echo", arguments) == -1);
}

static void test_shell(void) {
  run_script("echo hello   world > out\n", "hello world\n");
  run_script("echo one > out; echo two >> out # three\n", "one\ntwo\n");
  run_script("echo a b c | wc > out\n", "1 3 6\n");
  int file = open("data", kOpenWrite | kOpenCreate);
  for (int i = 0; i < 1000; ++i) print_to(file, "line %d\n", i % 10);
  close(file);
  run_script("cat data | cat | cat | wc > out; cat < data | wc >> out\n", "1000 2000 7000\n1000 2000 7000\n");
  EXPECT(unlink("data") == 0);
  run_script("mkdir s; cd s; echo x > y; cd ..; cat s/y > out; rm s/y s\n", "x\n");
  run_script("echo abc > f; echo xyz >> f; grep ^x.z$ f > out; grep b*c f >> out; rm f\n", "xyz\nabc\n");
  run_script("sleep 0 & echo done > out\n", "done\n");
}

// ── running them ──

struct Test {
  const char* name;
  Function* function;
};

static const struct Test tests[] = {
    {"bad-calls", test_bad_calls},
    {"bad-pointers", test_bad_pointers},
    {"fork-exit-wait", test_fork_exit_wait},
    {"fork-until-full", test_fork_until_full},
    {"orphans", test_orphans},
    {"kill", test_kill},
    {"preemption", test_preemption},
    {"time", test_time},
    {"registers", test_registers},
    {"copy-on-write", test_copy_on_write},
    {"heap", test_heap},
    {"stack-grows", test_stack_grows},
    {"out-of-memory", test_out_of_memory},
    {"protection", test_protection},
    {"flags", test_flags},
    {"pipe", test_pipe},
    {"pipe-ends", test_pipe_ends},
    {"file-numbers", test_file_numbers},
    {"shared-offset", test_shared_offset},
    {"files", test_files},
    {"unlink-open", test_unlink_open},
    {"big-file", test_big_file},
    {"directories", test_directories},
    {"long-names", test_long_names},
    {"many-writers", test_many_writers},
    {"disk-full", test_disk_full},
    {"exec", test_exec},
    {"shell", test_shell},
};

static bool is_wanted(const char* name, int count, char** wanted) {
  if (count == 0) return true;
  for (int i = 0; i < count; ++i) {
    if (strcmp(name, wanted[i]) == 0) return true;
  }
  return false;
}

int main(int count, char** arguments) {
  int failed = 0;
  mkdir("/tmp/test");
  if (chdir("/tmp/test") < 0) fail("cannot enter /tmp/test\n");
  for (unsigned i = 0; i < sizeof tests / sizeof *tests; ++i) {
    if (!is_wanted(tests[i].name, count - 1, arguments + 1)) continue;
    print("test %s\n", tests[i].name);
    int status = status_of(tests[i].function);
    if (status == 0) continue;
    print("test %s FAILED (status %d)\n", tests[i].name, status);
    ++failed;
  }
  chdir("/tmp");
  unlink("test");
  if (failed > 0) fail("%d tests failed\n", failed);
  print("all tests passed\n");
  return 0;
}
