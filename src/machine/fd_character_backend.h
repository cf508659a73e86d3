// A character backend over open descriptors: terminal, pty, pipe, regular file. Input that ends (a closed
// pipe, /dev/null) is no longer watched; output that nobody reads follows OutputQueue's rules.
#pragma once

#include <string>

#include "base/descriptor.h"
#include "devices/character_backend.h"
#include "machine/event_loop.h"
#include "machine/machine_config.h"
#include "machine/output_queue.h"

namespace vitrine::machine {

class FdCharacterBackend final : public devices::CharacterBackend {
 public:
  /// `label` is for messages. The loop must outlive the backend.
  FdCharacterBackend(EventLoop& loop, StreamEndpoint stream, WhenFull when_full, std::string label);
  ~FdCharacterBackend() override;

  void send(std::span<const uint8_t> data) override;
  void set_receiver(devices::CharacterReceiver* receiver) override;
  void receiver_ready() override;

  [[nodiscard]] bool input_open() const { return stream_.input.valid(); }
  [[nodiscard]] const OutputQueue& queue() const { return queue_; }

 private:
  void input_event();
  void drain_output();
  void close_input();
  void update_interest();

  EventLoop& loop_;
  StreamEndpoint stream_;
  std::string label_;
  WhenFull when_full_;
  OutputQueue queue_;
  devices::CharacterReceiver* receiver_ = nullptr;
  EventLoop::Watch input_watch_;
  EventLoop::Watch output_watch_;
  bool failure_reported_ = false;
};

}  // namespace vitrine::machine
