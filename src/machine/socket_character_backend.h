// A character backend over stream sockets: a listener that serves one peer at a time and takes the next when
// that one has gone, or a single connection. Who is not connected hears nothing: bytes sent then are lost.
#pragma once

#include "base/descriptor.h"
#include "devices/character_backend.h"
#include "machine/event_loop.h"
#include "machine/machine_config.h"
#include "machine/output_queue.h"

namespace vitrine::machine {

class SocketCharacterBackend final : public devices::CharacterBackend {
 public:
  /// Either descriptor may be invalid. The loop must outlive the backend.
  SocketCharacterBackend(EventLoop& loop, Descriptor listener, Descriptor connection, WhenFull when_full);
  ~SocketCharacterBackend() override;

  void send(std::span<const uint8_t> data) override;
  void set_receiver(devices::CharacterReceiver* receiver) override;
  void receiver_ready() override;
  [[nodiscard]] bool carrier() const override { return connection_.valid(); }

  [[nodiscard]] const OutputQueue& queue() const { return queue_; }

 private:
  void accept_peer();
  void connection_event(uint8_t readiness);
  void read_peer();
  void adopt(Descriptor connection);
  void disconnect();
  void drain_output();
  void update_interest();

  EventLoop& loop_;
  Descriptor listener_;
  Descriptor connection_;
  OutputQueue queue_;
  devices::CharacterReceiver* receiver_ = nullptr;
  EventLoop::Watch listener_watch_;
  EventLoop::Watch connection_watch_;
  bool output_blocked_ = false;
  bool broken_ = false;  // a write has failed; the loop will find the hang-up
};

}  // namespace vitrine::machine
