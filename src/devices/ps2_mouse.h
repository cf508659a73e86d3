// A PS/2 mouse with three buttons, which becomes an IntelliMouse (wheel, then five buttons) when a driver
// knocks.
//
// Documentation: IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft, IntelliMouse PS/2
// protocol. Implemented: stream, remote and wrap mode; scaling 2:1; resolution; sample rate; status;
// identify; the sample rate
//   sequences 200-100-80 and 200-200-80; enable, disable, defaults, resend, reset.
// Ignored: sample rate and resolution do not change what is reported: movement comes in the host's units, as
// packets
//   whenever the guest has read the earlier ones.
#pragma once

#include <array>
#include <cstdint>

#include "base/state_archive.h"
#include "devices/ps2_device.h"

namespace vitrine::devices {

enum class MouseButton : uint8_t { Left, Right, Middle, Side, Extra };

class Ps2Mouse : public Ps2Device {
 public:
  /// Movement right and up, wheel towards the user; any amounts: what one packet cannot say is said in the
  /// next.
  void move(int right, int up, int wheel = 0);
  void set_button(MouseButton button, bool pressed);

  [[nodiscard]] bool reporting() const { return reporting_; }

  void receive(uint8_t byte) override;
  void reset() override;
  void serialize(StateArchive& archive) override;

 private:
  enum class Mode : uint8_t { Stream, Remote };

  void set_defaults();
  void command(uint8_t byte);
  void argument(uint8_t byte);
  void note_sample_rate(uint8_t rate);
  void send_status();
  [[nodiscard]] bool changed() const;
  /// Takes what one packet can say out of the accumulated movement. Returns its length.
  size_t make_packet(std::array<uint8_t, 4>& packet);
  void report();
  void taken() override;

  uint8_t pending_command_ = 0;  // waits for an argument, or 0
  Mode mode_ = Mode::Stream;
  bool wrap_ = false;
  bool reporting_ = false;
  bool double_scale_ = false;
  uint8_t resolution_ = 2;
  uint8_t sample_rate_ = 100;
  uint8_t id_ = 0;      // 0, 3 with a wheel, 4 with five buttons
  uint8_t knocks_ = 0;  // how far a knocking sequence has come: see note_sample_rate()
  uint8_t buttons_ = 0;
  uint8_t reported_buttons_ = 0;
  int32_t right_ = 0;
  int32_t up_ = 0;
  int32_t wheel_ = 0;
};

}  // namespace vitrine::devices
