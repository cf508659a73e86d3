#include "devices/ide_channel.h"

#include "base/check.h"

namespace vitrine::devices {

namespace {

constexpr uint8_t kExecuteDeviceDiagnostic = 0x90;

}  // namespace

void IdeChannel::attach(unsigned position, std::unique_ptr<AtaDevice> device) {
  CHECK(position < devices_.size() && devices_[position] == nullptr, "IDE position {}", position);
  devices_[position] = std::move(device);
  devices_[position]->connect(*this, position);
}

void IdeChannel::reset() {
  selected_ = 0;
  control_ = 0;
  for (const auto& device : devices_) {
    if (device) device->hardware_reset();
  }
  interrupt_changed();
}

void IdeChannel::dma_started() {
  if (AtaDevice* device = selected()) device->dma_started();
}

void IdeChannel::interrupt_changed() {
  const AtaDevice* device = selected();
  const bool level =
      device != nullptr && device->interrupt_pending() && (control_ & AtaControl::kInterruptsOff) == 0;
  if (level == level_) return;
  level_ = level;
  // The bus master first: a driver that the line wakes finds its status there.
  if (engine_ != nullptr) engine_->interrupt_changed(level);
  irq_.set(level);
}

uint32_t IdeChannel::read_port(uint16_t port, unsigned size) {
  if (port == ports_.control) {
    const AtaDevice* device = selected();
    return device == nullptr ? 0 : device->status();
  }
  const unsigned offset = port - ports_.command;
  if (offset >= kCommandPorts) return ~0u;
  if (offset == 0) {
    AtaDevice* device = selected();
    return device == nullptr ? 0 : device->read_data(size);
  }
  uint32_t value = 0;
  for (unsigned i = 0; i < size && offset + i < kCommandPorts; ++i) {
    value |= uint32_t{read_register(static_cast<AtaRegister>(offset + i))} << (8 * i);
  }
  return value;
}

void IdeChannel::write_port(uint16_t port, unsigned size, uint32_t value) {
  if (port == ports_.control) return write_control(static_cast<uint8_t>(value));
  const unsigned offset = port - ports_.command;
  if (offset >= kCommandPorts) return;
  if (offset == 0) {
    if (AtaDevice* device = selected()) device->write_data(size, value);
    return;
  }
  for (unsigned i = 0; i < size && offset + i < kCommandPorts; ++i) {
    write_register(static_cast<AtaRegister>(offset + i), static_cast<uint8_t>(value >> (8 * i)));
  }
}

size_t IdeChannel::read_port_block(uint16_t port, unsigned size, std::span<uint8_t> data) {
  AtaDevice* device = selected();
  return port == ports_.command && device != nullptr ? device->read_data_block(size, data) : 0;
}

size_t IdeChannel::write_port_block(uint16_t port, unsigned size, std::span<const uint8_t> data) {
  AtaDevice* device = selected();
  return port == ports_.command && device != nullptr ? device->write_data_block(size, data) : 0;
}

uint8_t IdeChannel::read_register(AtaRegister which) {
  AtaDevice* device = selected();
  if (device == nullptr) return 0;
  if (which == AtaRegister::StatusCommand) return device->acknowledge_status();
  const bool previous = (control_ & AtaControl::kHighOrderByte) != 0;
  const uint8_t value = device->read_register(which, previous ? AtaByteHalf::Previous : AtaByteHalf::Current);
  if (which != AtaRegister::Device) return value;
  return static_cast<uint8_t>(value | (selected_ != 0 ? AtaDeviceBits::kSelect : 0));
}

void IdeChannel::write_register(AtaRegister which, uint8_t value) {
  if (which == AtaRegister::StatusCommand) return write_command(value);
  if (const AtaDevice* device = selected(); device != nullptr && device->busy()) return;
  // "Device Control register": a write to any command block register clears HOB.
  control_ &= static_cast<uint8_t>(~AtaControl::kHighOrderByte);
  // Both devices listen; the DEV bit says which of them answers.
  for (const auto& device : devices_) {
    if (device && !device->busy()) device->write_register(which, value);
  }
  if (which == AtaRegister::Device) {
    selected_ = (value & AtaDeviceBits::kSelect) != 0 ? 1 : 0;
    interrupt_changed();
  }
}

void IdeChannel::write_command(uint8_t command) {
  control_ &= static_cast<uint8_t>(~AtaControl::kHighOrderByte);
  if (command != kExecuteDeviceDiagnostic) {
    if (AtaDevice* device = selected()) device->write_command(command);
    return;
  }
  if (const AtaDevice* device = selected(); device != nullptr && device->busy()) return;
  for (const auto& device : devices_) {
    if (device) device->diagnose();
  }
  selected_ = 0;
  interrupt_changed();
}

void IdeChannel::write_control(uint8_t value) {
  const bool was_held = (control_ & AtaControl::kSoftReset) != 0;
  const bool held = (value & AtaControl::kSoftReset) != 0;
  control_ = value & (AtaControl::kInterruptsOff | AtaControl::kSoftReset | AtaControl::kHighOrderByte);
  if (held != was_held) {
    for (const auto& device : devices_) {
      if (!device) continue;
      if (held) {
        device->hold_reset();
      } else {
        device->release_reset();
      }
    }
    selected_ = 0;
  }
  interrupt_changed();
}

void IdeChannel::serialize(StateArchive& archive) {
  archive.section("ide_channel", 1);
  archive.fields(selected_, control_, level_);
  if (selected_ > 1) {
    selected_ = 0;
    archive.reject("an IDE channel has two devices");
  }
  for (const auto& device : devices_) {
    bool present = device != nullptr;
    archive.field(present);
    if (present != (device != nullptr))
      return archive.reject("the IDE devices are not those of the saved machine");
    if (device) device->serialize(archive);
  }
}

}  // namespace vitrine::devices
