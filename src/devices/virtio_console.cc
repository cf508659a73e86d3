#include "devices/virtio_console.h"

#include <algorithm>
#include <cstring>

namespace vitrine::devices {
namespace {

constexpr unsigned kReceive = 0;
constexpr unsigned kTransmit = 1;
// Configuration: columns, rows (16 bits each), ports, emergency write.
constexpr unsigned kPorts = 4;
constexpr unsigned kEmergency = 8;
// A byte of output costs the host as much as many of a disk's: a portion is 64 KiB.
constexpr uint64_t kWorkPerByte = 256;

}  // namespace

VirtioConsole::VirtioConsole(Clock& clock, CharacterBackend& backend)
    : VirtioDevice(clock, VirtioId::Console, {kQueueSize, kQueueSize}), backend_(backend) {
  backend_.set_receiver(this);
}

VirtioConsole::~VirtioConsole() {
  backend_.set_receiver(nullptr);
}

void VirtioConsole::fill_config(std::span<uint8_t> config) const {
  config[kPorts] = 1;
}

// "Device Operation": a character even before there are queues. The low byte is the character.
void VirtioConsole::config_written(unsigned offset, uint8_t value) {
  if (offset == kEmergency) backend_.send({&value, 1});
}

void VirtioConsole::process_queue(unsigned queue) {
  if (queue == kTransmit) return serve(queue);
  look_for_room();
  if (room_ != 0) backend_.receiver_ready();
}

std::optional<VirtioDevice::Served> VirtioConsole::handle(unsigned /*queue*/, const VirtqueueChain& chain,
                                                          DmaMemory& memory) {
  const uint64_t bytes = chain.readable_size();
  pieces_.clear();
  if (bytes > kMostSent || !chain.find_readable(memory, 0, bytes, pieces_)) return std::nullopt;
  for (const std::span<const uint8_t> piece : pieces_) backend_.send(piece);
  return Served{0, bytes * kWorkPerByte};
}

// How much the next chain of the receive queue takes. The driver may still change its mind: receive() looks
// again.
void VirtioConsole::look_for_room() {
  room_ = 0;
  while (room_ == 0) {
    if (take(kReceive, received_)) {
      untake(kReceive);
      if (received_.writable_size() == 0) return fail();
      room_ = static_cast<uint32_t>(std::min(received_.writable_size(), kMostReceived));
    } else if (!await_more(kReceive)) {
      return;
    }
  }
}

void VirtioConsole::receive(std::span<const uint8_t> data) {
  room_ = 0;
  DmaMemory* memory = this->memory();
  if (memory == nullptr || !take(kReceive, received_)) return;
  data = data.first(std::min<uint64_t>(data.size(), received_.writable_size()));
  if (!received_.write(*memory, 0, data)) return fail();
  give_back(kReceive, received_, static_cast<uint32_t>(data.size()));
  announce(kReceive);
  look_for_room();
}

void VirtioConsole::serialize_device(StateArchive& archive) {
  archive.section("virtio-console", 1);
  archive.field(room_);
  room_ = static_cast<uint32_t>(std::min<uint64_t>(room_, kMostReceived));
}

}  // namespace vitrine::devices
