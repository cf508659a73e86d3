// All character endpoints of a machine, brought to life: each a backend on the event loop, with a multiplexer
// where several users share one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/character_backend.h"
#include "machine/console_multiplexer.h"
#include "machine/event_loop.h"
#include "machine/machine_config.h"

namespace vitrine::machine {

class CharacterDevices {
 public:
  /// `actions` are for the multiplexers' escapes. The loop must outlive this.
  CharacterDevices(EventLoop& loop, std::vector<CharacterEndpoint> endpoints,
                   const ConsoleMultiplexer::Actions& actions);
  ~CharacterDevices();

  /// The backend for one more user of the endpoint. An exclusive endpoint has one user; a multiplexed one any
  /// number, and the first has the focus. Lives as long as this.
  [[nodiscard]] devices::CharacterBackend& attach(EndpointIndex endpoint,
                                                  FrontEndRole role = FrontEndRole::Line);

  /// One line an endpoint, for `info chardev`.
  [[nodiscard]] std::string describe() const;

 private:
  struct Device;
  std::vector<std::unique_ptr<Device>> devices_;
};

}  // namespace vitrine::machine
