// A token goes round a ring of processes through pipes; each passes it on after touching four pages of its
// own. The number of processes is on the command line. `count` is the number of switches.
#include "runtime.h"

enum { kMost = 64, kPages = 4, kPage = 4096 };
static u8 own[kPages * kPage];

static void pass(int in, int out, u32 rounds) {
  u32 token;
  for (u32 i = 0; i < rounds; ++i) {
    if (CALL3(kRead, in, &token, 4) != 4) give_up("read");
    for (u32 page = 0; page < kPages; ++page) own[page * kPage] = (u8)(own[page * kPage] + token);
    ++token;
    CALL3(kWrite, out, &token, 4);
  }
}

u32 work(u32 count) {
  u32 processes = 0;
  for (const char* c = arguments[0]; *c; ++c) processes = processes * 10 + (u32)(*c - '0');
  if (processes < 2 || processes > kMost) give_up("2 to 64 processes");
  int pipes[kMost][2], status = 0, children[kMost];
  u32 rounds = (count + processes - 1) / processes;
  for (u32 i = 0; i < processes; ++i) checked(CALL1(kPipe, pipes[i]), "pipe");
  for (u32 i = 1; i < processes; ++i) {
    children[i] = checked(CALL0(kFork), "fork");
    if (children[i] == 0) {
      pass(pipes[i - 1][0], pipes[i][1], rounds);
      CALL1(kExit, 0);
    }
  }
  u32 token = 0;
  for (u32 i = 0; i < rounds; ++i) {
    u32 expected = token + processes - 1;
    CALL3(kWrite, pipes[0][1], &token, 4);
    if (CALL3(kRead, pipes[processes - 1][0], &token, 4) != 4 || token != expected) give_up("wrong token");
    for (u32 page = 0; page < kPages; ++page) own[page * kPage] = (u8)token;
  }
  for (u32 i = 1; i < processes; ++i) CALL3(kWaitPid, children[i], &status, 0);
  return 1;
}
