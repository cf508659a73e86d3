#include "devices/console.h"

#include <stdint.h>

#include "devices/uart16550.h"
#include "devices/vga_text.h"
#include "process/process.h"
#include "process/scheduler.h"

enum { kSize = 256, kControl = 0x40, kEndOfInput = 'D' - kControl, kDelete = 0x7f };

// Three places in a ring: [read, line_end) is complete lines, [line_end, edit) is being typed.
static char ring[kSize];
static uint32_t read_at, line_end, edit;
static int foreground;

void console_init(void) {
  vga_text_init();
  uart_init();
}

void console_put(char character) {
  vga_text_put(character);
  if (character == '\n') uart_put('\r');
  if (character == '\b') uart_put('\b'), uart_put(' ');
  uart_put(character);
}

void console_set_foreground(int group) {
  foreground = group;
}

static void kill_foreground(void) {
  for (int i = 0; foreground && i < kMaxProcesses; ++i) {
    struct Process* process = &processes[i];
    if (process->state != kUnused && process->state != kZombie && process->group == foreground) {
      process_kill(process);
    }
  }
}

static void forget_characters(uint32_t keep) {
  while (edit != keep) {
    --edit;
    console_put('\b');
  }
}

void console_input(char character) {
  switch (character) {
    case 'C' - kControl:
      forget_characters(line_end);
      kill_foreground();
      return;
    case 'U' - kControl: forget_characters(line_end); return;
    case '\b':
    case kDelete:
      if (edit != line_end) forget_characters(edit - 1);
      return;
    case '\r': character = '\n'; break;
    default: break;
  }
  if (edit - read_at == kSize) return;
  ring[edit++ % kSize] = character;
  if (character != kEndOfInput) console_put(character);
  if (character == '\n' || character == kEndOfInput || edit - read_at == kSize) {
    line_end = edit;
    wake(ring);
  }
}

int console_read(char* to, int size) {
  while (read_at == line_end) {
    if (current_process()->killed) return -1;
    sleep_on(ring);
  }
  int count = 0;
  while (count < size && read_at != line_end) {
    char character = ring[read_at % kSize];
    if (character == kEndOfInput && count > 0) break;  // it ends the next read
    ++read_at;
    if (character == kEndOfInput) break;
    to[count++] = character;
    if (character == '\n') break;
  }
  return count;
}

int console_write(const char* from, int size) {
  for (int i = 0; i < size; ++i) vga_text_put(from[i]);
  uart_write(from, size);
  return size;
}
