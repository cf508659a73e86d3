// The first serial port (16550 UART), 115200 baud, 8 bits, no parity.
#pragma once

void uart_init(void);
void uart_put(char character);
void uart_write(const char* text, int size);
void uart_enable_input(void);
