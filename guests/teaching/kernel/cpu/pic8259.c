#include "cpu/pic8259.h"

#include "cpu/interrupts.h"
#include "cpu/x86.h"

enum {
  kMaster = 0x20,
  kSlave = 0xa0,
  kInit = 0x11,  // ICW1: edge triggered, cascaded, ICW4 follows
  kEndOfInterrupt = 0x20,
  kReadInService = 0x0b,
  kCascadeIrq = 2
};

static void set_mask(uint16_t mask) {
  out8(kMaster + 1, mask & 0xff);
  out8(kSlave + 1, mask >> 8);
}

static uint16_t mask;

void pic_init(void) {
  out8(kMaster, kInit);
  out8(kMaster + 1, kVectorIrq0);
  out8(kMaster + 1, 1 << kCascadeIrq);
  out8(kMaster + 1, 1);  // ICW4: 8086 mode
  out8(kSlave, kInit);
  out8(kSlave + 1, kVectorIrq0 + 8);
  out8(kSlave + 1, kCascadeIrq);
  out8(kSlave + 1, 1);
  mask = (uint16_t) ~(1 << kCascadeIrq);
  set_mask(mask);
}

void pic_enable(int irq) {
  mask &= ~(1 << irq);
  set_mask(mask);
}

// A spurious interrupt 7 or 15 is not in service and must not be ended (8259A data sheet, "Interrupt
// sequence"); a spurious 15 did pass through the master.
void pic_end_interrupt(int irq) {
  if (irq == 7 || irq == 15) {
    int chip = irq == 7 ? kMaster : kSlave;
    out8(chip, kReadInService);
    if (!(in8(chip) & 0x80)) {
      if (irq == 15) out8(kMaster, kEndOfInterrupt);
      return;
    }
  }
  if (irq >= 8) out8(kSlave, kEndOfInterrupt);
  out8(kMaster, kEndOfInterrupt);
}
