// The 8254's channel 0 counts down from kPeriod, over and over (Intel 8254 data sheet, "Mode 2").
#include "devices/timer.h"

#include "common/abi.h"
#include "cpu/interrupts.h"
#include "cpu/local_apic.h"
#include "cpu/paravirtual.h"
#include "cpu/processors.h"
#include "cpu/x86.h"
#include "process/scheduler.h"

enum {
  kCounter0 = 0x40,
  kControl = 0x43,
  kLatch0 = 0x00,
  kRateGenerator0 = 0x34,  // channel 0, low byte then high byte, mode 2
  kFrequency = 1193182,
  kPeriod = kFrequency / kTicksPerSecond
};

volatile uint32_t ticks;

static void timer_interrupt(void) {
  ++current_process()->ticks;
  if (this_cpu()->index != 0) return;
  ++ticks;
  wake((const void*)&ticks);
}

void timer_init(void) {
  out8(kControl, kRateGenerator0);
  out8(kCounter0, kPeriod & 0xff);
  out8(kCounter0, kPeriod >> 8);
  interrupts_attach(kIrqTimer, timer_interrupt);
  if (!apic_in_use) return;
  local_apic_calibrate_timer();
  local_apic_start_timer();
}

int timer_sleep(uint32_t duration) {
  uint32_t start = ticks;
  while (ticks - start < duration) {
    if (current_process()->killed) return -1;
    sleep_on((const void*)&ticks);
  }
  return 0;
}

static uint32_t read_counter(void) {
  out8(kControl, kLatch0);
  uint32_t low = in8(kCounter0);
  return low | (uint32_t)in8(kCounter0) << 8;
}

static bool wait_by_clock(uint32_t milliseconds) {
  uint64_t start, now;
  if (!monitor_clock(&start)) return false;
  do {
    pause();
    monitor_clock(&now);
  } while (now - start < (uint64_t)milliseconds * 1000000);
  return true;
}

void timer_busy_wait(uint32_t milliseconds) {
  if (wait_by_clock(milliseconds)) return;
  uint32_t wanted = kFrequency / 1000 * milliseconds;
  uint32_t waited = 0;
  uint32_t last = read_counter();
  while (waited < wanted) {
    uint32_t now = read_counter();
    waited += now <= last ? last - now : last + kPeriod - now;
    last = now;
  }
}
