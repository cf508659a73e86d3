// The test suite: exec and the shell.
#include "user/programs/test/suite.h"

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

void test_exec(void) {
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

void test_shell(void) {
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
