// bench [name]…: how often in a second the machine can do a few typical things. Every line is
// `name: count per second`. `bench fixed [name]…` does each a fixed number of times, for somebody with a better
// clock: the lines are `begin name times` and `end name`.
#include "user/library/pane.h"

enum { kPage = 4096, kPages = 64, kDuration = kTicksPerSecond / 2 };

// Each runs its work `times` times.
typedef void Work(int times);

static void system_call_loop(int times) {
  while (times-- > 0) getpid();
}

static void fork_exit(int times) {
  while (times-- > 0) {
    if (fork() == 0) exit(0);
    wait(NULL);
  }
}

static void fork_exec(int times) {
  while (times-- > 0) {
    if (fork() == 0) {
      char* arguments[] = {"sleep", NULL};
      exec("/bin/sleep", arguments);
      exit(1);
    }
    wait(NULL);
  }
}

static void ping_pong(int times) {
  int there[2], back[2];
  char ball = 'o';
  if (pipe(there) < 0 || pipe(back) < 0) fail("bench: no pipe\n");
  if (fork() == 0) {
    close(there[1]);
    while (read(there[0], &ball, 1) == 1) write(back[1], &ball, 1);
    exit(0);
  }
  close(there[0]);
  while (times-- > 0) {
    write(there[1], &ball, 1);
    read(back[0], &ball, 1);
  }
  close(there[1]);
  close(back[0]);
  close(back[1]);
  wait(NULL);
}

static void touch_pages(int times) {
  while (times > 0) {
    char* start = sbrk(kPages * kPage);
    for (int i = 0; i < kPages; ++i, --times) start[i * kPage] = 1;
    sbrk(-kPages * kPage);
  }
}

// The greatest common divisor of many pairs: divisions and unpredictable branches.
static void compute(int times) {
  volatile uint32_t sum = 0;
  for (uint32_t i = 0; i < (uint32_t)times; ++i) {
    uint32_t a = i * 2654435761u | 1, b = 0x9e3779b1u;
    while (b != 0) {
      uint32_t rest = a % b;
      a = b;
      b = rest;
    }
    sum += a;
  }
}

static void copy_memory(int times) {
  static char from[kPage], to[kPage];
  while (times-- > 0) memcpy(to, from, kPage);
}

static void write_file(int times) {
  static char data[1024];
  int file = open("/tmp/bench", kOpenWrite | kOpenCreate | kOpenTruncate);
  for (int i = 0; i < times; ++i) {
    if (i % 64 == 63) {
      close(file);
      file = open("/tmp/bench", kOpenWrite | kOpenTruncate);
    }
    if (write(file, data, sizeof data) != sizeof data) fail("bench: cannot write\n");
  }
  close(file);
  unlink("/tmp/bench");
}

struct Benchmark {
  const char* name;
  Work* work;
  int first_times;
  int fixed_times;
};

static const struct Benchmark benchmarks[] = {
    {"system-call", system_call_loop, 1000, 100000},
    {"fork-exit", fork_exit, 10, 1000},
    {"fork-exec", fork_exec, 10, 400},
    {"pipe-ping-pong", ping_pong, 100, 10000},
    {"page-touch", touch_pages, 1024, 40960},
    {"compute", compute, 1000, 100000},
    {"copy-page", copy_memory, 1000, 50000},
    {"write-kibibyte", write_file, 10, 100},
};

// Doubles the times until they take long enough to be measured.
static void measure(const struct Benchmark* benchmark) {
  int times = benchmark->first_times;
  for (;;) {
    int start = uptime();
    benchmark->work(times);
    int taken = uptime() - start;
    if (taken >= kDuration || times > 0x10000000) {
      if (taken == 0) taken = 1;
      uint32_t per_tick = (uint32_t)times / (uint32_t)taken;
      uint32_t rest = (uint32_t)times % (uint32_t)taken;
      print("%s: %u per second\n", benchmark->name,
            per_tick * kTicksPerSecond + rest * kTicksPerSecond / (uint32_t)taken);
      return;
    }
    times *= 2;
  }
}

static void run_fixed(const struct Benchmark* benchmark) {
  print("begin %s %u\n", benchmark->name, (uint32_t)benchmark->fixed_times);
  benchmark->work(benchmark->fixed_times);
  print("end %s\n", benchmark->name);
}

static bool is_given(const char* word, int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    if (strcmp(arguments[i], word) == 0) return true;
  }
  return false;
}

int main(int count, char** arguments) {
  bool fixed = is_given("fixed", count, arguments);
  bool all = true;
  for (unsigned i = 0; i < sizeof benchmarks / sizeof *benchmarks; ++i) {
    if (is_given(benchmarks[i].name, count, arguments)) all = false;
  }
  for (unsigned i = 0; i < sizeof benchmarks / sizeof *benchmarks; ++i) {
    if (!all && !is_given(benchmarks[i].name, count, arguments)) continue;
    if (fixed) {
      run_fixed(&benchmarks[i]);
    } else {
      measure(&benchmarks[i]);
    }
  }
  print("bench done\n");
  return 0;
}
