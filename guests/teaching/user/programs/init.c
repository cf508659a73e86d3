// The first process. Its arguments are the kernel's options: `test` and `bench` run that program and then
// switch the machine off; otherwise there is a shell, for ever.
#include "user/library/pane.h"

static int run(char* path) {
  int pid = fork();
  if (pid == 0) {
    char* arguments[] = {path, NULL};
    exec(path, arguments);
    fail("init: cannot run %s\n", path);
  }
  int status = kStatusKilled;
  for (int child = 0; child >= 0 && child != pid;) child = wait(&status);  // orphans come here, too
  return status;
}

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    char* program = NULL;
    if (strcmp(arguments[i], "test") == 0) program = "/bin/test";
    if (strcmp(arguments[i], "bench") == 0) program = "/bin/bench";
    if (program) {
      run(program);
      halt();
    }
  }
  for (;;) run("/bin/sh");
}
