#include "cpu/kernel_lock.h"

#include "cpu/processors.h"
#include "cpu/x86.h"

static struct SpinLock the_lock;
static struct Cpu* volatile owner;

void spin_lock(struct SpinLock* lock) {
  while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE)) {
    while (lock->taken) pause();  // only reading, so that the cache line can stay shared
  }
}

void spin_unlock(struct SpinLock* lock) {
  __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

void kernel_lock(void) {
  spin_lock(&the_lock);
  owner = this_cpu();
}

void kernel_unlock(void) {
  owner = 0;
  spin_unlock(&the_lock);
}

bool kernel_lock_is_ours(void) {
  return owner == this_cpu();
}
