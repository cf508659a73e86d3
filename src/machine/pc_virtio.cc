// The part of the PC that drivers find rather than firmware: virtio devices on the PCI bus.
#include <fmt/format.h>

#include <utility>

#include "devices/virtio_block.h"
#include "machine/pc.h"

namespace vitrine::machine {
namespace {

constexpr unsigned kFirstSlot = 3;  // behind host bridge, PIIX3 and VGA

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
  const std::string serial = config.serial.empty() ? fmt::format("VV{:05}", number + 1) : config.serial;
  auto disk = std::make_unique<devices::VirtioBlock>(host_.clock, *drives_[config.drive].backend, serial);
  disk->set_error_callback(host_.report);
  return disk;
}

}  // namespace vitrine::machine
