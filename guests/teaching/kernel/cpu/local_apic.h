// The local APIC: each processor's own interrupt controller and timer, and the way to interrupt another
// processor. SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)". The I/O APIC, which brings
// the devices' interrupts to it, is here, too: it is all of ten lines.
#pragma once

#include <stdint.h>

uint8_t local_apic_id(void);
void local_apic_init(void);
void local_apic_calibrate_timer(void);
void local_apic_start_timer(void);
void local_apic_end_interrupt(void);
void local_apic_send_init(uint8_t apic_id);
void local_apic_send_startup(uint8_t apic_id, uint32_t page_address);
void local_apic_poke(uint8_t apic_id);  // makes it look for something to run

void io_apic_init(void);
void io_apic_enable(int irq, uint8_t apic_id);
