// The one lock of the kernel: whoever runs kernel code holds it, with interrupts off. User programs run
// on all processors at once; the kernel runs on one at a time, and is never interrupted. So kernel code
// needs no other lock against other processors, and can only lose its place where it calls sleep_on().
#pragma once

#include <stdbool.h>
#include <stdint.h>

// A ticket lock: processors are served in the order in which they came.
struct SpinLock {
  volatile uint32_t next_ticket;
  volatile uint32_t now_serving;
};

void spin_lock(struct SpinLock* lock);
void spin_unlock(struct SpinLock* lock);

void kernel_lock(void);
void kernel_unlock(void);
bool kernel_lock_is_ours(void);
