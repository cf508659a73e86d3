// The test suite: what the tests share.
#include "user/programs/test/suite.h"

int start_process(Function* function) {
  int pid = fork();
  if (pid == 0) {
    function();
    exit(0);
  }
  return pid;
}

int status_of(Function* function) {
  int status = 12345;
  int pid = start_process(function);
  if (pid < 0 || wait(&status) != pid) return 54321;
  return status;
}

void write_file(const char* path, const char* text) {
  int file = open(path, kOpenWrite | kOpenCreate | kOpenTruncate);
  EXPECT(file >= 0);
  EXPECT(write(file, text, (int)strlen(text)) == (int)strlen(text));
  EXPECT(close(file) == 0);
}

void expect_text(const char* path, const char* text) {
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

void seed_random(uint32_t seed) {
  random_state = seed;
}

uint32_t random_number(void) {
  random_state = random_state * 1664525 + 1013904223;
  return random_state >> 8;
}

void exit_42(void) {
  exit(42);
}
