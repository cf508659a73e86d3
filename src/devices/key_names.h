// The keys of a PC keyboard: their names (those of QEMU's `sendkey`), their codes in scan code sets 2 and 3,
// and the keys that type an ASCII character on a US layout. Set 1 follows from set 2 by the translation table
// of the keyboard controller.
//
// Documentation: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vitrine::devices {

enum class Key : uint8_t {
  Escape,
  F1,
  F2,
  F3,
  F4,
  F5,
  F6,
  F7,
  F8,
  F9,
  F10,
  F11,
  F12,
  GraveAccent,
  Digit1,
  Digit2,
  Digit3,
  Digit4,
  Digit5,
  Digit6,
  Digit7,
  Digit8,
  Digit9,
  Digit0,
  Minus,
  Equal,
  Backspace,
  Tab,
  Q,
  W,
  E,
  R,
  T,
  Y,
  U,
  I,
  O,
  P,
  BracketLeft,
  BracketRight,
  Return,
  CapsLock,
  A,
  S,
  D,
  F,
  G,
  H,
  J,
  K,
  L,
  Semicolon,
  Apostrophe,
  Backslash,
  LeftShift,
  Less,
  Z,
  X,
  C,
  V,
  B,
  N,
  M,
  Comma,
  Dot,
  Slash,
  RightShift,
  LeftControl,
  LeftMeta,
  LeftAlt,
  Space,
  RightAlt,
  RightMeta,
  Menu,
  RightControl,
  Print,
  SystemRequest,
  ScrollLock,
  Pause,
  Insert,
  Home,
  PageUp,
  Delete,
  End,
  PageDown,
  Up,
  Left,
  Down,
  Right,
  NumLock,
  KeypadDivide,
  KeypadMultiply,
  KeypadSubtract,
  KeypadAdd,
  KeypadEnter,
  KeypadDecimal,
  Keypad0,
  Keypad1,
  Keypad2,
  Keypad3,
  Keypad4,
  Keypad5,
  Keypad6,
  Keypad7,
  Keypad8,
  Keypad9,
  kCount,
};

enum class KeyPrefix : uint8_t {
  None,      ///< One code.
  Extended,  ///< E0h before it in sets 1 and 2.
  Print,     ///< The sequence of its own that Print Screen has.
  Pause,     ///< The sequence of its own that Pause has; no break code.
};

struct KeyCode {
  Key key;
  std::string_view name;
  uint8_t set2;
  KeyPrefix prefix;
  uint8_t set3;
};

/// One row a key, in the order of the enum.
[[nodiscard]] std::span<const KeyCode> key_codes();
[[nodiscard]] const KeyCode& key_code(Key key);

/// The keyboard controller's translation of a code of set 2 into set 1.
[[nodiscard]] uint8_t translate_to_set1(uint8_t set2);

/// `ret`, `f1`, `kp_enter`, … or a few other names for the same keys (`enter`, `meta`, …).
[[nodiscard]] std::optional<Key> key_from_name(std::string_view name);
/// Keys held together: `a`, `shift-a`, `ctrl-alt-delete`. An Error names the part that is no key.
[[nodiscard]] Result<std::vector<Key>> parse_key_chord(std::string_view text);

/// What to press for a character on a US layout: modifiers first. Empty if no key types it.
/// Control characters come as Control chords but for newline, return, tab, backspace, escape and delete.
[[nodiscard]] std::vector<Key> keys_for_ascii(char character);

}  // namespace vitrine::devices
