// Installing a signal handler as the kernel wants it; it returns through the kernel's own trampoline.
#pragma once

#include "runtime.h"

static volatile u32 signals_seen;
static void count_signal(int number) {
  signals_seen += number != 0;
}

static void catch_signal(int number) {
  struct {
    void (*handler)(int);
    u32 flags;
    void* restorer;
    u32 mask[2];
  } action = {count_signal, 0, 0, {0, 0}};
  checked(system_call(kSetAction, (u32)number, (u32)&action, 0, 8, 0, 0), "sigaction");
}
