// A PS/2 keyboard with 102 keys: the machine's owner presses and releases keys by name, the guest sees scan
// codes.
//
// Documentation: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".
// Implemented: scan code sets 1–3; set LEDs, echo, scan code set, identify, typematic rate, enable, disable,
//   defaults, resend, reset; the set 3 commands that make keys typematic, make-only or make/break are
//   acknowledged.
// Missing: repetition of held keys (whoever presses keys repeats them), the Shift and Num Lock wrappers that
// old
//   keyboards put around the extended keys.
// Ignored: the typematic rate and, of set 3, the types of the keys: every key makes and breaks.
#pragma once

#include <cstdint>
#include <span>

#include "base/state_archive.h"
#include "devices/key_names.h"
#include "devices/ps2_device.h"

namespace vitrine::devices {

enum class KeyAction : uint8_t { Press, Release };

class Ps2Keyboard : public Ps2Device {
 public:
  /// Press or release a key. False when the guest does not read and the key was lost.
  bool key(Key key, KeyAction action);
  /// Presses all in order and releases them in reverse: a chord. False, and nothing sent, unless all of it
  /// fits.
  bool type(std::span<const Key> chord);
  /// How many chords of up to four keys surely fit now; whoever pastes text waits until this is not zero.
  [[nodiscard]] size_t chord_room() const { return event_room() / kMaxChordBytes; }

  /// Bit 0 scroll lock, 1 num lock, 2 caps lock.
  [[nodiscard]] uint8_t leds() const { return leds_; }

  void receive(uint8_t byte) override;
  void reset() override;
  void serialize(StateArchive& archive) override;

 private:
  static constexpr size_t kMaxChordBytes = 4 * (4 + 6);

  void set_defaults();
  void command(uint8_t byte);
  void argument(uint8_t byte);
  /// Appends the code sequence to `out` and returns its length (at most 8).
  [[nodiscard]] size_t encode(Key key, KeyAction action, std::span<uint8_t> out) const;

  uint8_t pending_command_ = 0;  // waits for an argument, or 0
  uint8_t leds_ = 0;
  uint8_t typematic_ = 0x2b;
  uint8_t code_set_ = 2;
  bool scanning_ = true;
};

}  // namespace vitrine::devices
