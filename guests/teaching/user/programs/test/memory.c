// The test suite: memory that is copied, grows and runs out.
#include "user/programs/test/suite.h"

static int shared[3 * kPage];

void test_copy_on_write(void) {
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

void test_heap(void) {
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

void test_out_of_memory(void) {
  for (int i = 0; i < 2; ++i) {
    int status = status_of(use_all_memory);
    EXPECT(status == kStatusKilled || status == 0);
  }
  EXPECT(status_of(exit_42) == 42);
}

int recurse(int depth) {
  volatile char frame[1024];
  frame[0] = (char)depth;
  frame[1023] = 1;
  return depth == 0 ? frame[1023] : recurse(depth - 1) + frame[1023];
}

void test_stack_grows(void) {
  EXPECT(recurse(700) == 701);
}
