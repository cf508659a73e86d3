#include "devices/power.h"

#include "cpu/x86.h"
#include "devices/print.h"
#include "devices/timer.h"

enum {
  kPowerControl = 0x604,    // PM1a control register where firmware of virtual machines puts it
  kSleepEnableS5 = 0x2000,  // SLP_EN, sleep type 0
  kDebugExit = 0xf4,        // QEMU's isa-debug-exit,iobase=0xf4: leaves with status 2 * value + 1
  kExitHalted = 0,
  kExitPanic = 1
};

static _Noreturn void stop(void) {
  for (;;) __asm__ volatile("cli; hlt");
}

void power_off(void) {
  note("power off\n");
  out16(kPowerControl, kSleepEnableS5);
  out8(kDebugExit, kExitHalted);
  timer_busy_wait(500);
  print("It is now safe to switch off.\n");
  stop();
}

void power_stop(void) {
  out8(kDebugExit, kExitPanic);
  stop();
}
