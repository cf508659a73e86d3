#include "devices/key_names.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"

namespace vitrine::devices {
namespace {

constexpr KeyPrefix kNone = KeyPrefix::None;
constexpr KeyPrefix kExtended = KeyPrefix::Extended;

// clang-format off
constexpr KeyCode kKeys[] = {
    {Key::Escape, "esc", 0x76, kNone, 0x08},
    {Key::F1, "f1", 0x05, kNone, 0x07}, {Key::F2, "f2", 0x06, kNone, 0x0f}, {Key::F3, "f3", 0x04, kNone, 0x17},
    {Key::F4, "f4", 0x0c, kNone, 0x1f}, {Key::F5, "f5", 0x03, kNone, 0x27}, {Key::F6, "f6", 0x0b, kNone, 0x2f},
    {Key::F7, "f7", 0x83, kNone, 0x37}, {Key::F8, "f8", 0x0a, kNone, 0x3f}, {Key::F9, "f9", 0x01, kNone, 0x47},
    {Key::F10, "f10", 0x09, kNone, 0x4f}, {Key::F11, "f11", 0x78, kNone, 0x56}, {Key::F12, "f12", 0x07, kNone, 0x5e},
    {Key::GraveAccent, "grave_accent", 0x0e, kNone, 0x0e},
    {Key::Digit1, "1", 0x16, kNone, 0x16}, {Key::Digit2, "2", 0x1e, kNone, 0x1e}, {Key::Digit3, "3", 0x26, kNone, 0x26},
    {Key::Digit4, "4", 0x25, kNone, 0x25}, {Key::Digit5, "5", 0x2e, kNone, 0x2e}, {Key::Digit6, "6", 0x36, kNone, 0x36},
    {Key::Digit7, "7", 0x3d, kNone, 0x3d}, {Key::Digit8, "8", 0x3e, kNone, 0x3e}, {Key::Digit9, "9", 0x46, kNone, 0x46},
    {Key::Digit0, "0", 0x45, kNone, 0x45}, {Key::Minus, "minus", 0x4e, kNone, 0x4e}, {Key::Equal, "equal", 0x55, kNone, 0x55},
    {Key::Backspace, "backspace", 0x66, kNone, 0x66},
    {Key::Tab, "tab", 0x0d, kNone, 0x0d}, {Key::Q, "q", 0x15, kNone, 0x15}, {Key::W, "w", 0x1d, kNone, 0x1d},
    {Key::E, "e", 0x24, kNone, 0x24}, {Key::R, "r", 0x2d, kNone, 0x2d}, {Key::T, "t", 0x2c, kNone, 0x2c},
    {Key::Y, "y", 0x35, kNone, 0x35}, {Key::U, "u", 0x3c, kNone, 0x3c}, {Key::I, "i", 0x43, kNone, 0x43},
    {Key::O, "o", 0x44, kNone, 0x44}, {Key::P, "p", 0x4d, kNone, 0x4d},
    {Key::BracketLeft, "bracket_left", 0x54, kNone, 0x54}, {Key::BracketRight, "bracket_right", 0x5b, kNone, 0x5b},
    {Key::Return, "ret", 0x5a, kNone, 0x5a},
    {Key::CapsLock, "caps_lock", 0x58, kNone, 0x14}, {Key::A, "a", 0x1c, kNone, 0x1c}, {Key::S, "s", 0x1b, kNone, 0x1b},
    {Key::D, "d", 0x23, kNone, 0x23}, {Key::F, "f", 0x2b, kNone, 0x2b}, {Key::G, "g", 0x34, kNone, 0x34},
    {Key::H, "h", 0x33, kNone, 0x33}, {Key::J, "j", 0x3b, kNone, 0x3b}, {Key::K, "k", 0x42, kNone, 0x42},
    {Key::L, "l", 0x4b, kNone, 0x4b}, {Key::Semicolon, "semicolon", 0x4c, kNone, 0x4c},
    {Key::Apostrophe, "apostrophe", 0x52, kNone, 0x52}, {Key::Backslash, "backslash", 0x5d, kNone, 0x5c},
    {Key::LeftShift, "shift", 0x12, kNone, 0x12}, {Key::Less, "less", 0x61, kNone, 0x13},
    {Key::Z, "z", 0x1a, kNone, 0x1a}, {Key::X, "x", 0x22, kNone, 0x22}, {Key::C, "c", 0x21, kNone, 0x21},
    {Key::V, "v", 0x2a, kNone, 0x2a}, {Key::B, "b", 0x32, kNone, 0x32}, {Key::N, "n", 0x31, kNone, 0x31},
    {Key::M, "m", 0x3a, kNone, 0x3a}, {Key::Comma, "comma", 0x41, kNone, 0x41}, {Key::Dot, "dot", 0x49, kNone, 0x49},
    {Key::Slash, "slash", 0x4a, kNone, 0x4a}, {Key::RightShift, "shift_r", 0x59, kNone, 0x59},
    {Key::LeftControl, "ctrl", 0x14, kNone, 0x11}, {Key::LeftMeta, "meta_l", 0x1f, kExtended, 0x8b},
    {Key::LeftAlt, "alt", 0x11, kNone, 0x19}, {Key::Space, "spc", 0x29, kNone, 0x29},
    {Key::RightAlt, "alt_r", 0x11, kExtended, 0x39}, {Key::RightMeta, "meta_r", 0x27, kExtended, 0x8c},
    {Key::Menu, "menu", 0x2f, kExtended, 0x8d}, {Key::RightControl, "ctrl_r", 0x14, kExtended, 0x58},
    {Key::Print, "print", 0x7c, KeyPrefix::Print, 0x57}, {Key::SystemRequest, "sysrq", 0x84, kNone, 0x57},
    {Key::ScrollLock, "scroll_lock", 0x7e, kNone, 0x5f}, {Key::Pause, "pause", 0x77, KeyPrefix::Pause, 0x62},
    {Key::Insert, "insert", 0x70, kExtended, 0x67}, {Key::Home, "home", 0x6c, kExtended, 0x6e},
    {Key::PageUp, "pgup", 0x7d, kExtended, 0x6f}, {Key::Delete, "delete", 0x71, kExtended, 0x64},
    {Key::End, "end", 0x69, kExtended, 0x65}, {Key::PageDown, "pgdn", 0x7a, kExtended, 0x6d},
    {Key::Up, "up", 0x75, kExtended, 0x63}, {Key::Left, "left", 0x6b, kExtended, 0x61},
    {Key::Down, "down", 0x72, kExtended, 0x60}, {Key::Right, "right", 0x74, kExtended, 0x6a},
    {Key::NumLock, "num_lock", 0x77, kNone, 0x76}, {Key::KeypadDivide, "kp_divide", 0x4a, kExtended, 0x77},
    {Key::KeypadMultiply, "kp_multiply", 0x7c, kNone, 0x7e}, {Key::KeypadSubtract, "kp_subtract", 0x7b, kNone, 0x84},
    {Key::KeypadAdd, "kp_add", 0x79, kNone, 0x7c}, {Key::KeypadEnter, "kp_enter", 0x5a, kExtended, 0x79},
    {Key::KeypadDecimal, "kp_decimal", 0x71, kNone, 0x71},
    {Key::Keypad0, "kp_0", 0x70, kNone, 0x70}, {Key::Keypad1, "kp_1", 0x69, kNone, 0x69},
    {Key::Keypad2, "kp_2", 0x72, kNone, 0x72}, {Key::Keypad3, "kp_3", 0x7a, kNone, 0x7a},
    {Key::Keypad4, "kp_4", 0x6b, kNone, 0x6b}, {Key::Keypad5, "kp_5", 0x73, kNone, 0x73},
    {Key::Keypad6, "kp_6", 0x74, kNone, 0x74}, {Key::Keypad7, "kp_7", 0x6c, kNone, 0x6c},
    {Key::Keypad8, "kp_8", 0x75, kNone, 0x75}, {Key::Keypad9, "kp_9", 0x7d, kNone, 0x7d},
};

// Sets 2 and 3 number the rows of the physical keyboard, set 1 the keys of the first PC: there is no rule, only
// the controller's table.
constexpr std::array<uint8_t, 0x85> kToSet1 = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
    0x80, 0x81, 0x82, 0x41, 0x54};
// clang-format on

constexpr bool keys_in_order() {
  for (size_t i = 0; i < std::size(kKeys); ++i) {
    if (static_cast<size_t>(kKeys[i].key) != i) return false;
  }
  return std::size(kKeys) == static_cast<size_t>(Key::kCount);
}
static_assert(keys_in_order());

struct Alias {
  std::string_view name;
  Key key;
};
constexpr Alias kAliases[] = {
    {"enter", Key::Return},   {"return", Key::Return},           {"space", Key::Space},
    {"escape", Key::Escape},  {"shift_l", Key::LeftShift},       {"ctrl_l", Key::LeftControl},
    {"alt_l", Key::LeftAlt},  {"meta", Key::LeftMeta},           {"compose", Key::Menu},
    {"altgr", Key::RightAlt}, {"asterisk", Key::KeypadMultiply}, {"del", Key::Delete},
    {"ins", Key::Insert},     {"pageup", Key::PageUp},           {"pagedown", Key::PageDown},
    {"period", Key::Dot},     {"grave", Key::GraveAccent},
};

// A US layout: what each key types alone and with Shift.
struct Typed {
  char plain;
  char shifted;
  Key key;
};
constexpr Typed kTyped[] = {
    {'1', '!', Key::Digit1},      {'2', '@', Key::Digit2},      {'3', '#', Key::Digit3},
    {'4', '$', Key::Digit4},      {'5', '%', Key::Digit5},      {'6', '^', Key::Digit6},
    {'7', '&', Key::Digit7},      {'8', '*', Key::Digit8},      {'9', '(', Key::Digit9},
    {'0', ')', Key::Digit0},      {'-', '_', Key::Minus},       {'=', '+', Key::Equal},
    {'`', '~', Key::GraveAccent}, {'[', '{', Key::BracketLeft}, {']', '}', Key::BracketRight},
    {';', ':', Key::Semicolon},   {'\'', '"', Key::Apostrophe}, {'\\', '|', Key::Backslash},
    {',', '<', Key::Comma},       {'.', '>', Key::Dot},         {'/', '?', Key::Slash},
};

}  // namespace

std::span<const KeyCode> key_codes() {
  return kKeys;
}

const KeyCode& key_code(Key key) {
  CHECK(key < Key::kCount);
  return kKeys[static_cast<size_t>(key)];
}

uint8_t translate_to_set1(uint8_t set2) {
  return set2 < kToSet1.size() ? kToSet1[set2] : set2;
}

std::optional<Key> key_from_name(std::string_view name) {
  if (const auto it = std::ranges::find(kKeys, name, &KeyCode::name); it != std::end(kKeys)) return it->key;
  if (const auto it = std::ranges::find(kAliases, name, &Alias::name); it != std::end(kAliases))
    return it->key;
  return std::nullopt;
}

Result<std::vector<Key>> parse_key_chord(std::string_view text) {
  std::vector<Key> keys;
  while (true) {
    const size_t dash = text.find('-');
    const std::string_view part = text.substr(0, dash);
    const std::optional<Key> key = key_from_name(part);
    if (!key) {
      return std::unexpected(Error{.what = "no such key",
                                   .object = std::string(part),
                                   .advice = "for example: a, shift-a, ret, f1, spc"});
    }
    keys.push_back(*key);
    if (dash == std::string_view::npos) return keys;
    text.remove_prefix(dash + 1);
  }
}

std::vector<Key> keys_for_ascii(char character) {
  switch (character) {
    case ' ': return {Key::Space};
    case '\n':
    case '\r': return {Key::Return};
    case '\t': return {Key::Tab};
    case '\b': return {Key::Backspace};
    case '\x1b': return {Key::Escape};
    case '\x7f': return {Key::Delete};
    default: break;
  }
  if (character >= 'a' && character <= 'z') return {*key_from_name(std::string_view(&character, 1))};
  if (character >= 'A' && character <= 'Z') {
    const auto lower = static_cast<char>(character - 'A' + 'a');
    return {Key::LeftShift, *key_from_name(std::string_view(&lower, 1))};
  }
  if (character >= 1 && character <= 26) {
    const auto letter = static_cast<char>(character - 1 + 'a');
    return {Key::LeftControl, *key_from_name(std::string_view(&letter, 1))};
  }
  for (const Typed& typed : kTyped) {
    if (typed.plain == character) return {typed.key};
    if (typed.shifted == character) return {Key::LeftShift, typed.key};
  }
  return {};
}

}  // namespace vitrine::devices
