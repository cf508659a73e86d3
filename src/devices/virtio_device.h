// What every virtio device has, whatever connects it to a machine: status, features, queues, configuration
// space. A device type derives from it and handles its queues; a transport (VirtioPci) shows it to the guest.
//
//   driver ─registers─► VirtioPci ─► VirtioDevice ─handle(chain)─► VirtioBlock, VirtioConsole …
//             interrupt ◄─ VirtioTransport ◄─ used buffers ◄──────────────┘
//
// Documentation: OASIS "Virtual I/O Device (VIRTIO) Version 1.1", "Basic Facilities of a Virtio Device" and
// "Reserved Feature Bits". Implemented: transitional devices (drivers before and since 1.0), indirect
// descriptors, event index. Missing: packed virtqueues, IOMMU, notification data.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/dma_memory.h"
#include "devices/virtio_types.h"
#include "devices/virtqueue.h"

namespace vitrine::devices {

/// "Device Status Field". Bits.
namespace virtio_status {
inline constexpr uint8_t kAcknowledge = 1;
inline constexpr uint8_t kDriver = 2;
inline constexpr uint8_t kDriverOk = 4;
inline constexpr uint8_t kFeaturesOk = 8;
inline constexpr uint8_t kNeedsReset = 0x40;
inline constexpr uint8_t kFailed = 0x80;
}  // namespace virtio_status

namespace virtio_feature {
inline constexpr uint64_t kAnyLayout = uint64_t{1} << 27;
inline constexpr uint64_t kIndirect = uint64_t{1} << 28;
inline constexpr uint64_t kEventIndex = uint64_t{1} << 29;
inline constexpr uint64_t kVersion1 = uint64_t{1} << 32;
}  // namespace virtio_feature

/// What a device asks of whatever connects it.
class VirtioTransport {
 public:
  virtual ~VirtioTransport() = default;
  /// Null while the device may not reach memory.
  [[nodiscard]] virtual DmaMemory* memory() = 0;
  virtual void interrupt_for_queue(unsigned queue) = 0;
  virtual void interrupt_for_configuration() = 0;
};

class VirtioDevice : public Serializable {
 public:
  /// Bytes of the longest configuration space.
  static constexpr unsigned kMostConfig = 64;

  /// What is done in one go, in bytes moved. The rest waits for the machine's next turn, so that a driver
  /// that queues without end holds nobody up.
  static constexpr uint64_t kPortion = 16 << 20;

  /// One size for each queue, in entries.
  VirtioDevice(Clock& clock, VirtioId id, std::initializer_list<uint16_t> queue_sizes);
  VirtioDevice(const VirtioDevice&) = delete;
  VirtioDevice& operator=(const VirtioDevice&) = delete;

  [[nodiscard]] VirtioId id() const { return id_; }
  /// Once, before anything else. The transport must outlive the device's use.
  void connect(VirtioTransport& transport) { transport_ = &transport; }

  // For the transport.
  [[nodiscard]] uint64_t offered_features() const;
  /// What the driver says that it understands; 32 bits at a time, `half` 0 or 1. Too late once the features
  /// are settled.
  void accept_features(unsigned half, uint32_t features);
  [[nodiscard]] uint64_t accepted_features() const { return accepted_; }
  [[nodiscard]] uint8_t status() const { return status_; }
  /// 0 resets the device.
  void set_status(uint8_t status);
  void reset();
  [[nodiscard]] unsigned queue_count() const { return static_cast<unsigned>(queues_.size()); }
  [[nodiscard]] Virtqueue& queue(unsigned index) { return queues_[index]; }
  /// The driver has made something available. A queue that is not there is ignored.
  void notify(unsigned queue);
  /// A byte access each; beyond the end there are zeros.
  [[nodiscard]] uint8_t read_config(unsigned offset) const;
  void write_config(unsigned offset, uint8_t value);
  /// Changes whenever the configuration space has changed by itself.
  [[nodiscard]] uint8_t config_generation() const { return config_generation_; }

  void serialize(StateArchive& archive) final;

 protected:
  // For the device type.
  /// Bits 0–23, and those above 40 that are its own.
  [[nodiscard]] virtual uint64_t device_features() const = 0;
  /// `config` is kMostConfig zeros.
  virtual void fill_config(std::span<uint8_t> config) const = 0;
  virtual void config_written(unsigned /*offset*/, uint8_t /*value*/) {}
  /// What came of a chain.
  struct Served {
    uint32_t written = 0;  ///< Bytes of its writable part, from the start.
    uint64_t work = 0;     ///< What counts towards kPortion.
  };
  /// Carries out a chain, which then goes back. Nothing: it makes no sense, and the device fails.
  [[nodiscard]] virtual std::optional<Served> handle(unsigned queue, const VirtqueueChain& chain,
                                                     DmaMemory& memory) = 0;
  /// There may be chains in a queue that is ready. By default all are handled.
  virtual void process_queue(unsigned queue) { serve(queue); }
  virtual void reset_device() {}
  virtual void serialize_device(StateArchive& /*archive*/) {}

  [[nodiscard]] bool accepted(uint64_t feature) const { return (accepted_ & feature) != 0; }
  /// Whether the driver is one for VIRTIO 1.0 or later.
  [[nodiscard]] bool modern() const { return accepted(virtio_feature::kVersion1); }
  /// Whether queues may be used at all.
  [[nodiscard]] bool running() const;
  [[nodiscard]] DmaMemory* memory() { return transport_ == nullptr ? nullptr : transport_->memory(); }

  /// Handles what waits in a queue, with one interrupt at the end.
  void serve(unsigned queue);
  /// Takes the next chain off a queue, if there is one and all is well.
  [[nodiscard]] bool take(unsigned queue, VirtqueueChain& chain);
  /// Puts back what was taken last.
  void untake(unsigned queue) { queues_[queue].unpop(); }
  /// Gives it back; the interrupt comes with announce().
  void give_back(unsigned queue, const VirtqueueChain& chain, uint32_t written);
  /// Nothing was left in the queue: ask for a notification. True: more has come.
  [[nodiscard]] bool await_more(unsigned queue);
  /// Interrupts the driver for what was given back, if it wants that.
  void announce(unsigned queue);
  void config_changed();
  /// The driver has done what makes no sense: nothing goes on before it resets the device.
  void fail();

 private:
  [[nodiscard]] Virtqueue::Features queue_features() const;
  void check(unsigned queue);
  void notify_all();

  Clock& clock_;
  VirtioId id_;
  VirtioTransport* transport_ = nullptr;
  std::vector<Virtqueue> queues_;
  uint64_t accepted_ = 0;
  uint8_t status_ = 0;
  uint8_t config_generation_ = 0;
  Timer next_portion_;    // while armed, queues wait
  VirtqueueChain chain_;  // here so that serve() needs no memory of its own
};

}  // namespace vitrine::devices
