// The one lock of the kernel: whoever runs kernel code holds it, with interrupts off. User programs run
// on all processors at once; the kernel runs on one at a time, and is never interrupted. So kernel code
// needs no other lock against other processors, and can only lose its place where it calls sleep_on().
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Whoever comes first gets it. (A ticket lock would be fair, but in a virtual machine it makes everybody
// wait for a processor whose turn it is and which the host is not running.)
struct SpinLock {
  volatile uint32_t taken;
};

void spin_lock(struct SpinLock* lock);
void spin_unlock(struct SpinLock* lock);

void kernel_lock(void);
void kernel_unlock(void);
bool kernel_lock_is_ours(void);
