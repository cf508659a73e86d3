// The two 8259A interrupt controllers of the PC (Intel 8259A data sheet).
#pragma once

void pic_init(void);  // all interrupts masked
void pic_enable(int irq);
void pic_end_interrupt(int irq);
