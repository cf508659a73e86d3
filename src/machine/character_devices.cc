#include "machine/character_devices.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "machine/fd_character_backend.h"
#include "machine/simple_character_backends.h"
#include "machine/socket_character_backend.h"

namespace vitrine::machine {
namespace {

template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

}  // namespace

struct CharacterDevices::Device {
  std::string label;
  std::string description;
  const OutputQueue* queue = nullptr;  // of the backend, if it has one
  std::unique_ptr<devices::CharacterBackend> backend;
  std::unique_ptr<ConsoleMultiplexer> multiplexer;  // over the backend
};

CharacterDevices::CharacterDevices(EventLoop& loop, std::vector<CharacterEndpoint> endpoints,
                                   const ConsoleMultiplexer::Actions& actions) {
  for (CharacterEndpoint& endpoint : endpoints) {
    auto device = std::make_unique<Device>();
    device->label = std::move(endpoint.label);
    device->description = std::move(endpoint.description);
    const auto use_socket = [&](Descriptor listener, Descriptor connection) {
      auto backend = std::make_unique<SocketCharacterBackend>(loop, std::move(listener),
                                                              std::move(connection), endpoint.when_full);
      device->queue = &backend->queue();
      device->backend = std::move(backend);
    };
    std::visit(Overloaded{
                   [&](NullEndpoint&) { device->backend = std::make_unique<NullCharacterBackend>(); },
                   [&](StreamEndpoint& stream) {
                     auto backend = std::make_unique<FdCharacterBackend>(
                         loop, std::move(stream), endpoint.when_full, device->description);
                     device->queue = &backend->queue();
                     device->backend = std::move(backend);
                   },
                   [&](ListeningEndpoint& socket) {
                     use_socket(std::move(socket.listener), std::move(socket.connected));
                   },
                   [&](ConnectedEndpoint& socket) { use_socket({}, std::move(socket.socket)); },
               },
               endpoint.connection);
    if (endpoint.sharing == Sharing::Multiplexed) {
      device->multiplexer = std::make_unique<ConsoleMultiplexer>(*device->backend, actions);
    }
    devices_.push_back(std::move(device));
  }
}

CharacterDevices::~CharacterDevices() = default;

devices::CharacterBackend& CharacterDevices::attach(EndpointIndex endpoint, FrontEndRole role) {
  CHECK(endpoint < devices_.size());
  Device& device = *devices_[endpoint];
  return device.multiplexer ? device.multiplexer->add_front_end(role) : *device.backend;
}

std::string CharacterDevices::describe() const {
  std::string text;
  for (const auto& device : devices_) {
    text +=
        fmt::format("{}: {}{}", device->label, device->description, device->multiplexer ? ", shared" : "");
    if (!device->backend->carrier()) text += ", nobody connected";
    if (device->queue != nullptr && !device->queue->empty()) {
      text += fmt::format(", {} bytes waiting", device->queue->size());
    }
    if (device->queue != nullptr && device->queue->dropped() != 0) {
      text += fmt::format(", {} bytes lost", device->queue->dropped());
    }
    text += '\n';
  }
  return text;
}

}  // namespace vitrine::machine
