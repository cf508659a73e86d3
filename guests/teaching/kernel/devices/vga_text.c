#include "devices/vga_text.h"

#include <stdint.h>

#include "common/strings.h"
#include "cpu/x86.h"
#include "memory/address_space.h"

enum {
  kColumns = 80,
  kRows = 25,
  kBlank = 0x0700 | ' ',  // light grey on black
  kIndexPort = 0x3d4,
  kCursorHigh = 14,
  kCursorLow = 15,
  kTab = 8
};

static uint16_t* const screen = (uint16_t*)(kKernelBase + 0xb8000);
static int cursor;

static void show_cursor(void) {
  out8(kIndexPort, kCursorHigh);
  out8(kIndexPort + 1, (uint8_t)(cursor >> 8));
  out8(kIndexPort, kCursorLow);
  out8(kIndexPort + 1, (uint8_t)cursor);
}

static void fill(int from, int to) {
  for (int i = from; i < to; ++i) screen[i] = kBlank;
}

void vga_text_init(void) {
  fill(0, kColumns * kRows);
  show_cursor();
}

void vga_text_put(char character) {
  switch (character) {
    case '\n': cursor += kColumns - cursor % kColumns; break;
    case '\r': cursor -= cursor % kColumns; break;
    case '\t': cursor += kTab - cursor % kTab; break;
    case '\b':
      if (cursor > 0) screen[--cursor] = kBlank;
      break;
    default: screen[cursor++] = (uint16_t)(0x0700 | (uint8_t)character);
  }
  if (cursor >= kColumns * kRows) {
    memmove(screen, screen + kColumns, kColumns * (kRows - 1) * sizeof *screen);
    fill(kColumns * (kRows - 1), kColumns * kRows);
    cursor -= kColumns;
  }
  show_cursor();
}
