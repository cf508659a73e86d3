// test [name]…: the test suite. Every test runs in a process of its own, in a directory of its own. The last
// line says whether all tests passed.
#include "user/programs/test/suite.h"

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
