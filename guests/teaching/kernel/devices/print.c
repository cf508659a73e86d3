#include "devices/print.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format.h"
#include "cpu/x86.h"
#include "devices/console.h"
#include "devices/power.h"
#include "memory/address_space.h"

static enum PrintMode print_mode;

void print_init(enum PrintMode mode) {
  print_mode = mode;
}

static void put(char character, void* context) {
  (void)context;
  console_put(character);
}

void print(const char* text, ...) {
  va_list arguments;
  va_start(arguments, text);
  format(put, NULL, text, arguments);
  va_end(arguments);
}

void note(const char* text, ...) {
  if (print_mode == kPrintQuiet) return;
  va_list arguments;
  va_start(arguments, text);
  format(put, NULL, text, arguments);
  va_end(arguments);
}

// Return addresses of the callers: each frame begins with the caller's EBP and the return address.
static void print_callers(const uint32_t* frame) {
  print("called from:");
  for (int depth = 0; depth < 16 && (uint32_t)frame >= kKernelBase; ++depth) {
    print(" %08x", frame[1]);
    frame = (const uint32_t*)frame[0];
  }
  print("\n");
}

// The panicking processor holds the kernel lock for ever, so the others stop at their next trap.
void panic(const char* text, ...) {
  disable_interrupts();
  va_list arguments;
  va_start(arguments, text);
  print("\npanic: ");
  format(put, NULL, text, arguments);
  print("\n");
  va_end(arguments);
  print_callers(__builtin_frame_address(0));
  power_stop();
}
