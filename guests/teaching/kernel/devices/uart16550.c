#include "devices/uart16550.h"

#include <stdbool.h>
#include <stdint.h>

#include "cpu/interrupts.h"
#include "cpu/paravirtual.h"
#include "cpu/x86.h"
#include "devices/console.h"

// PC16550D data sheet, "Registers".
enum {
  kPort = 0x3f8,
  kData = kPort,
  kInterruptEnable = kPort + 1,
  kFifoControl = kPort + 2,
  kLineControl = kPort + 3,
  kModemControl = kPort + 4,
  kLineStatus = kPort + 5,
  kScratch = kPort + 7,
  kDivisorAccess = 0x80,
  kEightBits = 0x03,
  kFifoOn = 0x07,   // enabled and emptied
  kLinesOn = 0x0b,  // DTR, RTS, and OUT2, which lets the interrupt through
  kReceiveInterrupt = 0x01,
  kHasData = 0x01,
  kCanSend = 0x20
};

static bool present;

void uart_init(void) {
  out8(kScratch, 0x5a);
  present = in8(kScratch) == 0x5a;
  out8(kInterruptEnable, 0);
  out8(kLineControl, kDivisorAccess);
  out8(kData, 1);  // 115200 baud
  out8(kInterruptEnable, 0);
  out8(kLineControl, kEightBits);
  out8(kFifoControl, kFifoOn);
  out8(kModemControl, kLinesOn);
}

void uart_put(char character) {
  if (monitor_write(&character, 1)) return;
  if (!present) return;
  while (!(in8(kLineStatus) & kCanSend)) pause();
  out8(kData, (uint8_t)character);
}

// Lines end in CR LF. All at once where the monitor can be asked.
void uart_write(const char* text, int size) {
  enum { kPiece = 128 };
  char piece[kPiece];
  int length = 0;
  for (int i = 0; i < size; ++i) {
    if (text[i] == '\n') piece[length++] = '\r';
    piece[length++] = text[i];
    if (length < kPiece - 1 && i + 1 < size) continue;
    if (!monitor_write(piece, length))
      for (int n = 0; n < length; ++n) uart_put(piece[n]);
    length = 0;
  }
}

static void uart_interrupt(void) {
  while (in8(kLineStatus) & kHasData) console_input((char)in8(kData));
}

void uart_enable_input(void) {
  if (!present) return;
  interrupts_attach(kIrqSerial, uart_interrupt);
  out8(kInterruptEnable, kReceiveInterrupt);
}
