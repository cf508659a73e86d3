#include "devices/keyboard8042.h"

#include <stdbool.h>
#include <stdint.h>

#include "cpu/interrupts.h"
#include "cpu/x86.h"
#include "devices/console.h"

enum {
  kData = 0x60,
  kStatus = 0x64,
  kOutputFull = 0x01,
  kInputFull = 0x02,
  kReadConfiguration = 0x20,
  kWriteConfiguration = 0x60,
  kEnableKeyboard = 0xae,
  kInterrupt = 0x01,
  kKeyboardOff = 0x10,
  kTranslate = 0x40,
  kReleased = 0x80,
  kControl = 0x1d,
  kLeftShift = 0x2a,
  kRightShift = 0x36,
  kCapsLock = 0x3a,
  kPatience = 100000
};

// By scan code. Index 0 and the empty places are keys without a character.
static const char plain[] = "\0\0331234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

static bool shift, control, caps_lock;

static bool is_letter(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

static void key(uint8_t code) {
  bool pressed = !(code & kReleased);
  code &= ~kReleased;
  switch (code) {
    case kLeftShift:
    case kRightShift: shift = pressed; return;
    case kControl: control = pressed; return;
    case kCapsLock: caps_lock ^= pressed; return;
    default: break;
  }
  if (!pressed || code >= sizeof plain - 1) return;
  bool upper = is_letter(plain[code]) ? shift != caps_lock : shift;
  char character = upper ? shifted[code] : plain[code];
  if (control && is_letter(character)) character &= 0x1f;
  if (character) console_input(character);
}

static void keyboard_interrupt(void) {
  while (in8(kStatus) & kOutputFull) key(in8(kData));
}

static bool wait_status(uint8_t mask, uint8_t wanted) {
  for (int i = 0; i < kPatience; ++i) {
    if ((in8(kStatus) & mask) == wanted) return true;
  }
  return false;
}

void keyboard_init(void) {
  if (in8(kStatus) == 0xff) return;  // no controller
  for (int i = 0; i < kPatience && (in8(kStatus) & kOutputFull); ++i) in8(kData);
  interrupts_attach(kIrqKeyboard, keyboard_interrupt);
  if (!wait_status(kInputFull, 0)) return;
  out8(kStatus, kEnableKeyboard);
  if (!wait_status(kInputFull, 0)) return;
  out8(kStatus, kReadConfiguration);
  if (!wait_status(kOutputFull, kOutputFull)) return;
  uint8_t configuration = (in8(kData) | kInterrupt | kTranslate) & ~kKeyboardOff;
  if (!wait_status(kInputFull, 0)) return;
  out8(kStatus, kWriteConfiguration);
  if (!wait_status(kInputFull, 0)) return;
  out8(kData, configuration);
}
