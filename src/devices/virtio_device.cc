#include "devices/virtio_device.h"

namespace vitrine::devices {
namespace {

using namespace virtio_status;

// What the queues can do, for every device type.
constexpr uint64_t kCommonFeatures = virtio_feature::kAnyLayout | virtio_feature::kIndirect |
                                     virtio_feature::kEventIndex | virtio_feature::kVersion1;

// What a chain counts for beyond the bytes it moves.
constexpr uint64_t kChainWork = 4096;
// Time for the rest of the machine between two portions.
constexpr Nanoseconds kPause = 1000;

}  // namespace

VirtioDevice::VirtioDevice(Clock& clock, VirtioId id, std::initializer_list<uint16_t> queue_sizes)
    : clock_(clock), id_(id), next_portion_(clock, [this] { notify_all(); }) {
  for (const uint16_t size : queue_sizes) queues_.emplace_back(size);
}

uint64_t VirtioDevice::offered_features() const {
  return device_features() | kCommonFeatures;
}

void VirtioDevice::accept_features(unsigned half, uint32_t features) {
  if ((status_ & (kFeaturesOk | kDriverOk)) != 0 || half > 1) return;
  const unsigned shift = 32 * half;
  accepted_ = (accepted_ & ~(uint64_t{0xffffffff} << shift)) | uint64_t{features} << shift;
  // "Feature Bits": a driver must not accept what was not offered. One that set FEATURES_OK is told so by
  // the bit that stays clear; an older one gets what there is.
  if (!modern()) accepted_ &= offered_features();
}

void VirtioDevice::set_status(uint8_t status) {
  if (status == 0) return reset();
  const auto added = static_cast<uint8_t>(status & ~status_);
  // "Device Status Field": the driver clears no bit but by a reset, and NEEDS_RESET is the device's.
  status_ |= static_cast<uint8_t>(added & ~kNeedsReset);
  if ((added & kFeaturesOk) != 0 && (!modern() || (accepted_ & ~offered_features()) != 0)) {
    status_ &= static_cast<uint8_t>(~kFeaturesOk);
  }
  if ((added & kDriverOk) != 0) notify_all();
}

void VirtioDevice::notify_all() {
  for (unsigned i = 0; i < queue_count(); ++i) notify(i);
}

void VirtioDevice::reset() {
  status_ = 0;
  accepted_ = 0;
  for (Virtqueue& queue : queues_) queue.reset();
  next_portion_.cancel();
  reset_device();
}

// "Driver Requirements: Device Initialization": nothing is consumed before DRIVER_OK. Drivers before 1.0 did
// not all wait with their first requests.
bool VirtioDevice::running() const {
  if ((status_ & (kNeedsReset | kFailed)) != 0) return false;
  return (status_ & kDriverOk) != 0 || (!modern() && (status_ & kDriver) != 0);
}

void VirtioDevice::notify(unsigned queue) {
  if (queue >= queue_count() || !queues_[queue].ready() || !running() || memory() == nullptr) return;
  process_queue(queue);
}

uint8_t VirtioDevice::read_config(unsigned offset) const {
  if (offset >= kMostConfig) return 0;
  std::array<uint8_t, kMostConfig> config{};
  fill_config(config);
  return config[offset];
}

void VirtioDevice::write_config(unsigned offset, uint8_t value) {
  if (offset < kMostConfig) config_written(offset, value);
}

Virtqueue::Features VirtioDevice::queue_features() const {
  return {.indirect = accepted(virtio_feature::kIndirect),
          .event_index = accepted(virtio_feature::kEventIndex)};
}

void VirtioDevice::check(unsigned queue) {
  if (queues_[queue].broken()) fail();
}

void VirtioDevice::serve(unsigned queue) {
  DmaMemory* memory = this->memory();
  if (memory == nullptr || next_portion_.armed()) return;
  uint64_t work = 0;
  do {
    while (take(queue, chain_)) {
      const std::optional<Served> served = handle(queue, chain_, *memory);
      if (!served) return fail();
      give_back(queue, chain_, served->written);
      work += kChainWork + served->work;
      if (work < kPortion) continue;
      announce(queue);
      next_portion_.arm(clock_.now() + kPause);
      return;
    }
  } while (await_more(queue));
  announce(queue);
}

bool VirtioDevice::take(unsigned queue, VirtqueueChain& chain) {
  DmaMemory* memory = this->memory();
  if (memory == nullptr || !running()) return false;
  const bool taken = queues_[queue].pop(*memory, queue_features(), chain);
  check(queue);
  return taken;
}

void VirtioDevice::give_back(unsigned queue, const VirtqueueChain& chain, uint32_t written) {
  DmaMemory* memory = this->memory();
  if (memory == nullptr) return;
  queues_[queue].push(*memory, chain, written);
  check(queue);
}

bool VirtioDevice::await_more(unsigned queue) {
  DmaMemory* memory = this->memory();
  if (memory == nullptr || !running()) return false;
  const bool more = queues_[queue].await_more(*memory, queue_features());
  check(queue);
  return more;
}

void VirtioDevice::announce(unsigned queue) {
  DmaMemory* memory = this->memory();
  if (memory == nullptr) return;
  if (queues_[queue].interrupt_wanted(*memory, queue_features())) transport_->interrupt_for_queue(queue);
  check(queue);
}

void VirtioDevice::config_changed() {
  ++config_generation_;
  if (transport_ != nullptr && (status_ & kDriverOk) != 0) transport_->interrupt_for_configuration();
}

// "Device Status Field": DEVICE_NEEDS_RESET, and a notification if the driver is up.
void VirtioDevice::fail() {
  if ((status_ & kNeedsReset) != 0) return;
  status_ |= kNeedsReset;
  config_changed();
}

void VirtioDevice::serialize(StateArchive& archive) {
  archive.section("virtio-device", 1);
  archive.fields(accepted_, status_, config_generation_);
  archive.timer(next_portion_);
  for (Virtqueue& queue : queues_) queue.serialize(archive);
  serialize_device(archive);
}

}  // namespace vitrine::devices
