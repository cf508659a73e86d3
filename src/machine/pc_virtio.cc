// The part of the PC that drivers find rather than firmware: virtio devices on the PCI bus.
#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>
#include <utility>

#include "devices/virtio_block.h"
#include "devices/virtio_console.h"
#include "devices/virtio_entropy.h"
#include "machine/pc.h"

namespace vitrine::machine {
namespace {

constexpr unsigned kFirstSlot = 3;  // behind host bridge, PIIX3 and VGA

/// The host's, as /dev/urandom has them.
bool random_bytes(std::span<uint8_t> data) {
  while (!data.empty()) {
    const ssize_t count = ::getrandom(data.data(), data.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    data = data.subspan(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

Result<void> Pc::make_virtio(MachineConfig& config) {
  if (config.virtio.empty()) return {};
  if (!pci_) {
    return std::unexpected(Error{"virtio devices need a PCI bus", "-machine isapc", 0, "use -machine pc"});
  }
  if (config.virtio.size() > devices::PciBus::kSlots - kFirstSlot) {
    return std::unexpected(
        Error{"too many virtio devices for the PCI bus:", fmt::format("{}", config.virtio.size()), 0,
              fmt::format("there are {} slots", devices::PciBus::kSlots - kFirstSlot)});
  }
  for (const VirtioConfig& device : config.virtio) {
    const auto number = static_cast<unsigned>(virtio_.size());
    const bool messages = device.interrupts == Interrupts::Messages && io_apic_;
    virtio_.push_back(std::make_unique<devices::VirtioPci>(
        make_virtio_device(device, number), device.interfaces, messages ? &messages_ : nullptr));
    pci_->attach(*virtio_.back(), kFirstSlot + number);
  }
  return {};
}

std::unique_ptr<devices::VirtioDevice> Pc::make_virtio_device(const VirtioConfig& config, unsigned number) {
  Clock& clock = host_.clock;
  switch (config.type) {
    case devices::VirtioId::Block: {
      const std::string serial = config.serial.empty() ? fmt::format("VV{:05}", number + 1) : config.serial;
      auto disk = std::make_unique<devices::VirtioBlock>(clock, *drives_[config.drive].backend, serial);
      disk->set_error_callback(host_.report);
      return disk;
    }
    case devices::VirtioId::Console:
      return std::make_unique<devices::VirtioConsole>(
          clock, config.endpoint ? host_.characters.attach(*config.endpoint) : nobody_);
    case devices::VirtioId::Entropy: return std::make_unique<devices::VirtioEntropy>(clock, random_bytes);
    case devices::VirtioId::Balloon: {
      auto balloon = std::make_unique<devices::VirtioBalloon>(
          clock, *ram_,
          devices::VirtioBalloon::Options{.deflate_on_out_of_memory = config.deflate_on_out_of_memory,
                                          .reporting = config.free_page_reporting});
      balloon->set_error_callback(host_.report);
      balloon_ = balloon.get();
      return balloon;
    }
  }
  return nullptr;
}

}  // namespace vitrine::machine
