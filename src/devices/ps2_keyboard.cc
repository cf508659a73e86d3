#include "devices/ps2_keyboard.h"

#include <algorithm>
#include <array>
#include <vector>

namespace vitrine::devices {
namespace {

enum Command : uint8_t {
  kSetLeds = 0xed,
  kEcho = 0xee,
  kCodeSet = 0xf0,
  kIdentify = 0xf2,
  kTypematic = 0xf3,
  kEnable = 0xf4,
  kDisable = 0xf5,
  kDefaults = 0xf6,
  kAllTypematic = 0xf7,
  kAllMakeOnly = 0xfa,  // F7h–FAh act on every key at once
  kKeyTypematic = 0xfb,
  kKeyMake = 0xfd,  // FBh–FDh are followed by a code
  kResendLast = 0xfe,
  kReset = 0xff,
};

constexpr uint8_t kBreak = 0xf0;
constexpr uint8_t kExtendedCode = 0xe0;
constexpr uint8_t kSet1Break = 0x80;

// Sequences that follow no rule, in set 2. Set 1 is their translation.
constexpr uint8_t kPrintPress[] = {0xe0, 0x12, 0xe0, 0x7c};
constexpr uint8_t kPrintRelease[] = {0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12};
constexpr uint8_t kPausePress[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};

// Set 2 into set 1, as the keyboard does by itself when set 1 is selected.
size_t translate(std::span<const uint8_t> from, std::span<uint8_t> out) {
  size_t size = 0;
  uint8_t breaks = 0;
  for (const uint8_t byte : from) {
    if (byte == kBreak) {
      breaks = kSet1Break;
    } else if (byte == kExtendedCode || byte == 0xe1) {
      out[size++] = byte;
    } else {
      out[size++] = translate_to_set1(byte) | breaks;
      breaks = 0;
    }
  }
  return size;
}

}  // namespace

size_t Ps2Keyboard::encode(Key key, KeyAction action, std::span<uint8_t> out) const {
  const KeyCode& code = key_code(key);
  const bool release = action == KeyAction::Release;
  std::array<uint8_t, 8> sequence{};
  size_t size = 0;
  const auto append = [&](std::span<const uint8_t> bytes) {
    std::ranges::copy(bytes, sequence.begin());
    size = bytes.size();
  };
  if (code_set_ == 3) {
    if (release) sequence[size++] = kBreak;
    sequence[size++] = code.set3;
  } else if (code.prefix == KeyPrefix::Print) {
    append(release ? std::span<const uint8_t>(kPrintRelease) : std::span<const uint8_t>(kPrintPress));
  } else if (code.prefix == KeyPrefix::Pause) {
    if (!release) append(kPausePress);
  } else {
    if (code.prefix == KeyPrefix::Extended) sequence[size++] = kExtendedCode;
    if (release) sequence[size++] = kBreak;
    sequence[size++] = code.set2;
  }
  const std::span<const uint8_t> bytes(sequence.data(), size);
  if (code_set_ == 1) return translate(bytes, out);
  std::ranges::copy(bytes, out.begin());
  return size;
}

bool Ps2Keyboard::key(Key key, KeyAction action) {
  if (!scanning_) return false;
  std::array<uint8_t, 8> bytes{};
  const size_t size = encode(key, action, bytes);
  return size == 0 || send_event(std::span(bytes).first(size));
}

bool Ps2Keyboard::type(std::span<const Key> chord) {
  if (!scanning_) return false;
  std::vector<uint8_t> bytes;
  const auto append = [&](Key key, KeyAction action) {
    std::array<uint8_t, 8> sequence{};
    const size_t size = encode(key, action, sequence);
    bytes.insert(bytes.end(), sequence.begin(), sequence.begin() + static_cast<ptrdiff_t>(size));
  };
  for (const Key key : chord) append(key, KeyAction::Press);
  for (size_t i = chord.size(); i-- > 0;) append(chord[i], KeyAction::Release);
  return send_event(bytes);
}

void Ps2Keyboard::set_defaults() {
  pending_command_ = 0;
  typematic_ = 0x2b;  // 10.9 a second after half a second
  code_set_ = 2;
}

void Ps2Keyboard::reset() {
  set_defaults();
  leds_ = 0;
  scanning_ = true;
  clear_output();
}

void Ps2Keyboard::receive(uint8_t byte) {
  // A command where an argument should be ends the command that waits.
  if (pending_command_ != 0 && byte < kSetLeds) {
    argument(byte);
  } else {
    pending_command_ = 0;
    command(byte);
  }
}

void Ps2Keyboard::command(uint8_t byte) {
  switch (byte) {
    case kSetLeds:
    case kCodeSet:
    case kTypematic:
      pending_command_ = byte;
      reply(kAcknowledge);
      break;
    case kEcho: reply(kEcho); break;
    case kIdentify: reply(std::array<uint8_t, 3>{kAcknowledge, 0xab, 0x83}); break;
    case kEnable:
      clear_events();
      scanning_ = true;
      reply(kAcknowledge);
      break;
    case kDisable:
      set_defaults();
      clear_events();
      scanning_ = false;
      reply(kAcknowledge);
      break;
    case kDefaults:
      set_defaults();
      clear_events();
      reply(kAcknowledge);
      break;
    case kResendLast: reply(last_sent()); break;
    case kReset:
      reset();
      reply(std::array<uint8_t, 2>{kAcknowledge, kSelfTestPassed});
      break;
    default:
      if (byte >= kAllTypematic && byte <= kAllMakeOnly) {
        reply(kAcknowledge);
      } else if (byte >= kKeyTypematic && byte <= kKeyMake) {
        pending_command_ = byte;
        reply(kAcknowledge);
      } else {
        reply(kResend);
      }
  }
}

void Ps2Keyboard::argument(uint8_t byte) {
  const uint8_t waiting = pending_command_;
  pending_command_ = 0;
  switch (waiting) {
    case kSetLeds: leds_ = byte & 7; break;
    case kTypematic: typematic_ = byte & 0x7f; break;
    case kCodeSet:
      if (byte > 3) {
        reply(kResend);
        return;
      }
      if (byte == 0) {
        reply(std::array<uint8_t, 2>{kAcknowledge, code_set_});
        return;
      }
      code_set_ = byte;
      clear_events();
      break;
    default: pending_command_ = waiting;  // FBh–FDh take codes until the next command
  }
  reply(kAcknowledge);
}

void Ps2Keyboard::serialize(StateArchive& archive) {
  archive.section("ps2-keyboard", 1);
  serialize_queues(archive);
  archive.fields(pending_command_, leds_, typematic_, code_set_, scanning_);
  if (code_set_ < 1 || code_set_ > 3) {
    archive.reject("a scan code set that does not exist");
    code_set_ = 2;
  }
}

}  // namespace vitrine::devices
