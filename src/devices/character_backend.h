// What is at the other end of a serial line or a console. Implemented outside devices/ (terminal, file,
// socket, multiplexer, memory in a test).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vitrine::devices {

/// The device's side: takes bytes that come from outside.
class CharacterReceiver {
 public:
  virtual ~CharacterReceiver() = default;
  /// How many bytes can be taken now. The backend offers no more than that, and asks again after
  /// CharacterBackend::receiver_ready().
  [[nodiscard]] virtual size_t receive_capacity() const = 0;
  virtual void receive(std::span<const uint8_t> data) = 0;
  /// The other end was opened or closed (carrier, in a modem's terms).
  virtual void carrier_changed(bool /*present*/) {}
  /// The other end holds the line in a break condition for longer than a character.
  virtual void receive_break() {}
};

class CharacterBackend {
 public:
  virtual ~CharacterBackend() = default;

  /// Sends bytes outside. Never blocks: what the outside cannot take yet is queued, bounded; what does not
  /// fit is dropped, as on a wire nobody reads.
  virtual void send(std::span<const uint8_t> data) = 0;
  /// At most one receiver; nullptr removes it.
  virtual void set_receiver(CharacterReceiver* receiver) = 0;
  /// The receiver has room again.
  virtual void receiver_ready() {}
  /// Whether somebody is there (a closed socket: no).
  [[nodiscard]] virtual bool carrier() const { return true; }
};

}  // namespace vitrine::devices
