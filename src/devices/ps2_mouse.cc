#include "devices/ps2_mouse.h"

#include <algorithm>
#include <cstdlib>

namespace vitrine::devices {
namespace {

enum Command : uint8_t {
  kScale1 = 0xe6,
  kScale2 = 0xe7,
  kResolution = 0xe8,
  kStatus = 0xe9,
  kStreamMode = 0xea,
  kReadData = 0xeb,
  kResetWrap = 0xec,
  kWrapMode = 0xee,
  kRemoteMode = 0xf0,
  kIdentify = 0xf2,
  kSampleRate = 0xf3,
  kEnable = 0xf4,
  kDisable = 0xf5,
  kDefaults = 0xf6,
  kResendLast = 0xfe,
  kReset = 0xff,
};

constexpr uint8_t kWheelId = 3;
constexpr uint8_t kFiveButtonId = 4;

// More movement than this is not remembered: nobody reads.
constexpr int32_t kMaxMovement = 1 << 16;

// States of Ps2Mouse::knocks_.
enum Knock : uint8_t { kQuiet, kGot200, kGot200And100, kGot200Twice };

int32_t add_bounded(int32_t total, int amount) {
  return static_cast<int32_t>(std::clamp<int64_t>(int64_t{total} + amount, -kMaxMovement, kMaxMovement));
}

// Mouse, "Scaling": in stream mode with scaling 2:1.
int32_t double_scaled(int32_t count) {
  constexpr int32_t kSmall[] = {0, 1, 1, 3, 6, 9};
  const int32_t size = std::abs(count);
  const int32_t scaled = size < 6 ? kSmall[size] : 2 * size;
  return count < 0 ? -scaled : scaled;
}

}  // namespace

void Ps2Mouse::move(int right, int up, int wheel) {
  right_ = add_bounded(right_, right);
  up_ = add_bounded(up_, up);
  wheel_ = add_bounded(wheel_, wheel);
  report();
}

void Ps2Mouse::set_button(MouseButton button, bool pressed) {
  const auto bit = static_cast<uint8_t>(1u << static_cast<unsigned>(button));
  buttons_ = static_cast<uint8_t>(pressed ? buttons_ | bit : buttons_ & ~bit);
  report();
}

bool Ps2Mouse::changed() const {
  return right_ != 0 || up_ != 0 || (wheel_ != 0 && id_ >= kWheelId) || buttons_ != reported_buttons_;
}

size_t Ps2Mouse::make_packet(std::array<uint8_t, 4>& packet) {
  const int32_t limit = double_scale_ ? 127 : 255;
  int32_t right = std::clamp(right_, -limit, limit);
  int32_t up = std::clamp(up_, -limit, limit);
  right_ -= right;
  up_ -= up;
  if (double_scale_ && mode_ == Mode::Stream) {
    right = double_scaled(right);
    up = double_scaled(up);
  }
  packet[0] = static_cast<uint8_t>(0x08 | (buttons_ & 7) | (right < 0 ? 0x10 : 0) | (up < 0 ? 0x20 : 0));
  packet[1] = static_cast<uint8_t>(right);
  packet[2] = static_cast<uint8_t>(up);
  reported_buttons_ = buttons_;
  if (id_ < kWheelId) {
    wheel_ = 0;
    return 3;
  }
  const int32_t wheel = id_ == kWheelId ? std::clamp(wheel_, -128, 127) : std::clamp(wheel_, -8, 7);
  wheel_ -= wheel;
  packet[3] = static_cast<uint8_t>(wheel);
  if (id_ == kFiveButtonId) packet[3] = static_cast<uint8_t>((wheel & 0x0f) | (buttons_ & 0x18) << 1);
  return 4;
}

// One packet at a time: while the guest has not read it, movement adds up, and no lag builds.
void Ps2Mouse::report() {
  if (mode_ != Mode::Stream || !reporting_ || wrap_ || !events_empty() || !changed()) return;
  std::array<uint8_t, 4> packet{};
  const size_t size = make_packet(packet);
  send_event(std::span(packet).first(size));
}

void Ps2Mouse::taken() {
  report();
}

void Ps2Mouse::set_defaults() {
  pending_command_ = 0;
  mode_ = Mode::Stream;
  reporting_ = false;
  double_scale_ = false;
  resolution_ = 2;
  sample_rate_ = 100;
  knocks_ = kQuiet;
  right_ = 0;
  up_ = 0;
  wheel_ = 0;
  clear_events();
}

void Ps2Mouse::reset() {
  set_defaults();
  wrap_ = false;
  id_ = 0;
  clear_output();
}

void Ps2Mouse::receive(uint8_t byte) {
  if (wrap_ && byte != kReset && byte != kResetWrap) {
    reply(byte);
  } else if (pending_command_ != 0) {
    argument(byte);
  } else {
    command(byte);
  }
}

void Ps2Mouse::send_status() {
  const auto state = static_cast<uint8_t>((mode_ == Mode::Remote ? 0x40 : 0) | (reporting_ ? 0x20 : 0) |
                                          (double_scale_ ? 0x10 : 0) | (buttons_ & 1 ? 4 : 0) |
                                          (buttons_ & 4 ? 2 : 0) | (buttons_ & 2 ? 1 : 0));
  reply(std::array<uint8_t, 4>{kAcknowledge, state, resolution_, sample_rate_});
}

void Ps2Mouse::command(uint8_t byte) {
  switch (byte) {
    case kScale1:
    case kScale2: double_scale_ = byte == kScale2; break;
    case kResolution:
    case kSampleRate: pending_command_ = byte; break;
    case kStatus: send_status(); return;
    case kStreamMode:
    case kRemoteMode:
      mode_ = byte == kRemoteMode ? Mode::Remote : Mode::Stream;
      clear_events();
      break;
    case kReadData: {
      std::array<uint8_t, 5> bytes{kAcknowledge};
      std::array<uint8_t, 4> packet{};
      const size_t size = make_packet(packet);
      std::copy_n(packet.begin(), size, bytes.begin() + 1);
      reply(std::span(bytes).first(1 + size));
      return;
    }
    case kResetWrap: wrap_ = false; break;
    case kWrapMode: wrap_ = true; break;
    case kIdentify: reply(std::array<uint8_t, 2>{kAcknowledge, id_}); return;
    case kEnable: reporting_ = true; break;
    case kDisable:
      reporting_ = false;
      clear_events();
      break;
    case kDefaults: set_defaults(); break;
    case kResendLast: reply(last_sent()); return;
    case kReset:
      reset();
      reply(std::array<uint8_t, 3>{kAcknowledge, kSelfTestPassed, id_});
      return;
    default: reply(kResend); return;
  }
  reply(kAcknowledge);
}

void Ps2Mouse::argument(uint8_t byte) {
  const uint8_t waiting = pending_command_;
  pending_command_ = 0;
  if (waiting == kResolution) {
    resolution_ = byte & 3;
  } else {
    sample_rate_ = byte;
    note_sample_rate(byte);
  }
  reply(kAcknowledge);
}

// IntelliMouse: a driver that knows of the wheel sets the sample rates 200, 100, 80; one that knows of five
// buttons then 200, 200, 80.
void Ps2Mouse::note_sample_rate(uint8_t rate) {
  if (rate == 200) {
    knocks_ = knocks_ == kGot200 ? kGot200Twice : kGot200;
  } else if (rate == 100 && knocks_ == kGot200) {
    knocks_ = kGot200And100;
  } else {
    if (rate == 80 && knocks_ == kGot200And100) id_ = kWheelId;
    if (rate == 80 && knocks_ == kGot200Twice) id_ = kFiveButtonId;
    knocks_ = kQuiet;
  }
}

void Ps2Mouse::serialize(StateArchive& archive) {
  archive.section("ps2-mouse", 1);
  serialize_queues(archive);
  archive.fields(pending_command_, mode_, wrap_, reporting_, double_scale_, resolution_, sample_rate_);
  archive.fields(id_, knocks_, buttons_, reported_buttons_, right_, up_, wheel_);
  right_ = add_bounded(right_, 0);
  up_ = add_bounded(up_, 0);
  wheel_ = add_bounded(wheel_, 0);
  if (id_ != 0 && id_ != kWheelId && id_ != kFiveButtonId) {
    archive.reject("a kind of mouse that does not exist");
    id_ = 0;
  }
}

}  // namespace vitrine::devices
