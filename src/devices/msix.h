// MSI-X: interrupts of a PCI function as messages, each vector with its address, data and mask in a table
// that the guest fills in. The function raises a vector; what is masked stays pending.
//
// Documentation: PCI Local Bus Specification 3.0, "MSI-X Capability and Table Structure"; SDM Vol. 3A,
// "Message Signalled Interrupts" for what a PC's messages mean.
#pragma once

#include <array>
#include <cstdint>

#include "base/state_archive.h"
#include "devices/apic_bus.h"
#include "memory/physical_map.h"

namespace vitrine::devices {

/// Takes the memory writes that are interrupts.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual void send_message(uint64_t address, uint32_t data) = 0;
};

/// The PC's: writes to FEExxxxxh go to the local APICs, others are lost.
class ApicMessageSink final : public MessageSink {
 public:
  explicit ApicMessageSink(ApicBus& bus) : bus_(bus) {}
  void send_message(uint64_t address, uint32_t data) override;

 private:
  ApicBus& bus_;
};

class Msix final : public memory::MemoryDevice, public Serializable {
 public:
  static constexpr unsigned kMostVectors = 16;
  /// Raises nothing.
  static constexpr uint16_t kNoVector = 0xffff;
  static constexpr uint8_t kCapability = 0x11;
  static constexpr unsigned kCapabilitySize = 12;
  /// Bytes of the window that holds the table, and behind it the pending bits.
  static constexpr uint64_t kWindowSize = 0x1000;
  static constexpr uint32_t kPendingOffset = 0x800;
  // Message control.
  static constexpr uint16_t kEnable = 0x8000;
  static constexpr uint16_t kFunctionMask = 0x4000;

  Msix(unsigned vectors, MessageSink& sink) : vectors_(vectors), sink_(sink) { reset(); }

  [[nodiscard]] unsigned vectors() const { return vectors_; }
  [[nodiscard]] bool enabled() const { return enabled_; }
  /// Message control as the guest has written it. `may_send`: whether the function is bus master.
  void set_control(uint16_t control, bool may_send);
  /// One interrupt; vectors that are not there raise nothing.
  void raise(unsigned vector);
  void reset();

  [[nodiscard]] std::string_view name() const override { return "msi-x"; }
  [[nodiscard]] uint64_t read_memory(uint64_t offset, unsigned size) override;
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override;

  /// Without the control word, which the function's header holds.
  void serialize(StateArchive& archive) override;

 private:
  static constexpr unsigned kEntrySize = 16;
  static constexpr uint32_t kMasked = 1;
  // Address, upper address, data, control.
  using Entry = std::array<uint32_t, 4>;

  void send_pending();
  [[nodiscard]] uint32_t read_dword(uint64_t offset) const;

  unsigned vectors_;
  MessageSink& sink_;
  std::array<Entry, kMostVectors> table_{};
  uint32_t pending_ = 0;
  bool enabled_ = false;
  bool held_back_ = false;  // all of the function's
};

}  // namespace vitrine::devices
