#include "cpu/kernel_lock.h"

#include "cpu/processors.h"
#include "cpu/x86.h"

static struct SpinLock the_lock;
static struct Cpu* volatile owner;

void spin_lock(struct SpinLock* lock) {
  uint32_t ticket = __atomic_fetch_add(&lock->next_ticket, 1, __ATOMIC_RELAXED);
  while (__atomic_load_n(&lock->now_serving, __ATOMIC_ACQUIRE) != ticket) pause();
}

void spin_unlock(struct SpinLock* lock) {
  __atomic_store_n(&lock->now_serving, lock->now_serving + 1, __ATOMIC_RELEASE);
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
