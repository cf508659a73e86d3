// Character backends without a host object behind them: one that swallows, one that remembers (for tests).
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "devices/character_backend.h"

namespace vitrine::machine {

/// Takes everything, gives nothing.
class NullCharacterBackend final : public devices::CharacterBackend {
 public:
  void send(std::span<const uint8_t> /*data*/) override {}
  void set_receiver(devices::CharacterReceiver* /*receiver*/) override {}
};

/// Keeps what was sent; what is typed waits until the receiver has room.
class MemoryCharacterBackend final : public devices::CharacterBackend {
 public:
  void send(std::span<const uint8_t> data) override { sent_.append(data.begin(), data.end()); }
  void set_receiver(devices::CharacterReceiver* receiver) override {
    receiver_ = receiver;
    deliver();
  }
  void receiver_ready() override { deliver(); }
  [[nodiscard]] bool carrier() const override { return carrier_; }

  void type(std::string_view text) {
    waiting_ += text;
    deliver();
  }
  void set_carrier(bool present) {
    carrier_ = present;
    if (receiver_ != nullptr) receiver_->carrier_changed(present);
  }
  [[nodiscard]] const std::string& sent() const { return sent_; }
  /// What was sent since the last call.
  std::string take() { return std::exchange(sent_, {}); }
  [[nodiscard]] size_t waiting() const { return waiting_.size(); }

 private:
  void deliver() {
    // A receiver may ask for more from inside receive().
    if (delivering_) return;
    delivering_ = true;
    while (receiver_ != nullptr && !waiting_.empty()) {
      const size_t count = std::min(receiver_->receive_capacity(), waiting_.size());
      if (count == 0) break;
      const std::string part = waiting_.substr(0, count);
      waiting_.erase(0, count);
      receiver_->receive(
          {reinterpret_cast<const uint8_t*>(part.data()), part.size()});  // SAFETY: bytes of a string
    }
    delivering_ = false;
  }

  devices::CharacterReceiver* receiver_ = nullptr;
  std::string sent_;
  std::string waiting_;
  bool carrier_ = true;
  bool delivering_ = false;
};

}  // namespace vitrine::machine
