// What hangs on a port of the keyboard controller: takes bytes, gives bytes. Base of keyboard and mouse;
// holds the two bounded queues: replies to commands, which go first, and events.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "base/state_archive.h"

namespace vitrine::devices {

/// A ring of bytes.
template <size_t kCapacity>
class ByteQueue {
 public:
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] size_t size() const { return count_; }
  [[nodiscard]] size_t room() const { return kCapacity - count_; }
  void clear() { count_ = 0; }
  /// False, and nothing queued, when not all of it fits.
  bool push(std::span<const uint8_t> bytes) {
    if (bytes.size() > room()) return false;
    for (const uint8_t byte : bytes) bytes_[(first_ + count_++) % kCapacity] = byte;
    return true;
  }
  [[nodiscard]] std::optional<uint8_t> pop() {
    if (count_ == 0) return std::nullopt;
    const uint8_t byte = bytes_[first_];
    first_ = static_cast<uint32_t>((first_ + 1) % kCapacity);
    --count_;
    return byte;
  }
  void serialize(StateArchive& archive) {
    archive.fields(bytes_, first_, count_);
    if (first_ >= kCapacity || count_ > kCapacity) {
      archive.reject("a queue longer than it can be");
      first_ = 0;
      count_ = 0;
    }
  }

 private:
  std::array<uint8_t, kCapacity> bytes_{};
  uint32_t first_ = 0;
  uint32_t count_ = 0;
};

class Ps2Device : public Serializable {
 public:
  static constexpr uint8_t kAcknowledge = 0xfa;
  static constexpr uint8_t kResend = 0xfe;
  static constexpr uint8_t kSelfTestPassed = 0xaa;

  /// A byte from the controller.
  virtual void receive(uint8_t byte) = 0;
  /// The next byte for the controller, if there is one. The controller asks when it has room.
  [[nodiscard]] std::optional<uint8_t> take() {
    std::optional<uint8_t> byte = replies_.pop();
    if (!byte) byte = events_.pop();
    if (byte) {
      last_sent_ = *byte;
      taken();
    }
    return byte;
  }
  /// As if switched off and on.
  virtual void reset() = 0;

  /// Called whenever output has come up. One listener: the controller.
  void set_output_listener(std::function<void()> listener) { listener_ = std::move(listener); }

 protected:
  static constexpr size_t kReplyCapacity = 16;
  static constexpr size_t kEventCapacity = 256;

  /// Replies that do not fit are lost: a guest that asks and never listens.
  void reply(std::span<const uint8_t> bytes) {
    (void)replies_.push(bytes);
    if (listener_) listener_();
  }
  void reply(uint8_t byte) { reply(std::span(&byte, 1)); }
  /// Whole or not at all.
  bool send_event(std::span<const uint8_t> bytes) {
    if (!events_.push(bytes)) return false;
    if (listener_) listener_();
    return true;
  }
  [[nodiscard]] size_t event_room() const { return events_.room(); }
  [[nodiscard]] bool events_empty() const { return events_.empty(); }
  void clear_events() { events_.clear(); }
  void clear_output() {
    replies_.clear();
    events_.clear();
  }
  [[nodiscard]] uint8_t last_sent() const { return last_sent_; }
  /// A byte has left the queues.
  virtual void taken() {}

  void serialize_queues(StateArchive& archive) {
    replies_.serialize(archive);
    events_.serialize(archive);
    archive.field(last_sent_);
  }

 private:
  ByteQueue<kReplyCapacity> replies_;
  ByteQueue<kEventCapacity> events_;
  uint8_t last_sent_ = 0;
  std::function<void()> listener_;
};

}  // namespace vitrine::devices
