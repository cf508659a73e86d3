#include "cpu/local_apic.h"

#include "common/abi.h"
#include "cpu/interrupts.h"
#include "devices/timer.h"

// Registers, by index of a 32-bit word.
enum {
  kId = 0x020 / 4,
  kTaskPriority = 0x080 / 4,
  kEndOfInterrupt = 0x0b0 / 4,
  kSpurious = 0x0f0 / 4,
  kErrorStatus = 0x280 / 4,
  kCommandLow = 0x300 / 4,
  kCommandHigh = 0x310 / 4,
  kLocalTimer = 0x320 / 4,
  kLocalPin0 = 0x350 / 4,
  kLocalError = 0x370 / 4,
  kInitialCount = 0x380 / 4,
  kCurrentCount = 0x390 / 4,
  kDivide = 0x3e0 / 4
};

enum {
  kEnable = 1 << 8,
  kMasked = 1 << 16,
  kPeriodic = 1 << 17,
  kDivideBy16 = 3,
  kPending = 1 << 12,
  kFixed = 0x4000,
  kInit = 0x4500,
  kStartup = 0x4600
};

static volatile uint32_t* const local = (volatile uint32_t*)0xfee00000;
static volatile uint32_t* const io = (volatile uint32_t*)0xfec00000;
static uint32_t counts_per_tick;

uint8_t local_apic_id(void) {
  return local[kId] >> 24;
}

void local_apic_init(void) {
  local[kSpurious] = kEnable | kVectorSpurious;
  local[kLocalPin0] = kMasked;  // the 8259s' pin
  local[kLocalError] = kMasked;
  local[kTaskPriority] = 0;
  local[kErrorStatus] = 0;
  local_apic_end_interrupt();
}

void local_apic_calibrate_timer(void) {
  local[kDivide] = kDivideBy16;
  local[kLocalTimer] = kMasked;
  local[kInitialCount] = 0xffffffff;
  timer_busy_wait(1000 / kTicksPerSecond);
  counts_per_tick = 0xffffffff - local[kCurrentCount];
}

void local_apic_start_timer(void) {
  local[kDivide] = kDivideBy16;
  local[kLocalTimer] = kPeriodic | kVectorTimer;
  local[kInitialCount] = counts_per_tick;
}

void local_apic_end_interrupt(void) {
  local[kEndOfInterrupt] = 0;
}

static void send(uint8_t apic_id, uint32_t command) {
  local[kCommandHigh] = (uint32_t)apic_id << 24;
  local[kCommandLow] = command;
  while (local[kCommandLow] & kPending) continue;
}

void local_apic_send_init(uint8_t apic_id) {
  send(apic_id, kInit);
}

void local_apic_send_startup(uint8_t apic_id, uint32_t page_address) {
  send(apic_id, kStartup | page_address >> 12);
}

void local_apic_poke(uint8_t apic_id) {
  send(apic_id, kFixed | kVectorPoke);
}

// 82093AA data sheet: a register is chosen by word 0 and accessed at word 4.
static void io_write(uint32_t index, uint32_t value) {
  io[0] = index;
  io[4] = value;
}

void io_apic_init(void) {
  io[0] = 1;  // version
  uint32_t last = io[4] >> 16 & 0xff;
  for (uint32_t pin = 0; pin <= last; ++pin) io_write(0x10 + 2 * pin, kMasked);
}

void io_apic_enable(int irq, uint8_t apic_id) {
  io_write(0x11 + 2 * irq, (uint32_t)apic_id << 24);
  io_write(0x10 + 2 * irq, kVectorIrq0 + irq);  // edge, active high, as ISA interrupts are
}
