// A virtio device as a PCI function, for drivers before 1.0 (registers in I/O space, BAR 0) and since (four
// structures in memory, BAR 4, which capabilities point to).
//
// Documentation: OASIS "Virtual I/O Device (VIRTIO) Version 1.1", "Virtio Over PCI Bus" and its "Legacy
// Interfaces". Implemented: transitional, legacy-only and modern-only devices; the PCI configuration access
// capability; INTx; MSI-X where the machine has local APICs. Missing: notification data, queue reset (1.2).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/dma_memory.h"
#include "devices/msix.h"
#include "devices/pci_device.h"
#include "devices/virtio_device.h"

namespace vitrine::devices {

class VirtioPci final : public PciDevice,
                        private memory::PortDevice,
                        private memory::MemoryDevice,
                        private VirtioTransport {
 public:
  static constexpr unsigned kLegacyBar = 0;
  static constexpr unsigned kMsixBar = 1;
  static constexpr unsigned kModernBar = 4;

  /// `messages`: where message-signalled interrupts go; null: there are none, the device has its INTx pin.
  VirtioPci(std::unique_ptr<VirtioDevice> device, VirtioInterfaces interfaces, MessageSink* messages);
  ~VirtioPci() override;

  [[nodiscard]] VirtioDevice& device() { return *device_; }

  [[nodiscard]] uint32_t read_config(unsigned offset, unsigned size) override;

 private:
  enum class Field : uint8_t;
  struct FieldRow;
  static const FieldRow kLegacyFields[];
  static const FieldRow kCommonFields[];

  // BAR 0 and BAR 4.
  [[nodiscard]] std::string_view name() const override { return devices::name(device_->id()); }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  [[nodiscard]] uint64_t read_memory(uint64_t offset, unsigned size) override;
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override;

  // VirtioTransport.
  [[nodiscard]] DmaMemory* memory() override;
  void interrupt_for_queue(unsigned queue) override;
  void interrupt_for_configuration() override;

  void command_changed(uint16_t command) override;
  void config_written(unsigned offset, unsigned size) override;
  void reset_device() override;
  void serialize_device(StateArchive& archive) override;

  void define_modern();
  void reset_virtio();
  void define_messages(MessageSink& messages);
  [[nodiscard]] unsigned legacy_header_size() const;
  [[nodiscard]] uint32_t read_device_config(uint64_t offset, unsigned size) const;
  void write_device_config(uint64_t offset, unsigned size, uint32_t value);
  [[nodiscard]] uint32_t read_fields(std::span<const FieldRow> rows, unsigned offset, unsigned size);
  void write_fields(std::span<const FieldRow> rows, unsigned offset, unsigned size, uint32_t value);
  [[nodiscard]] uint32_t get(Field field);
  void set(Field field, uint32_t value);
  [[nodiscard]] uint32_t get_queue(Field field);
  void set_queue(Field field, uint32_t value);
  [[nodiscard]] uint16_t checked_vector(uint32_t vector) const;
  [[nodiscard]] bool messages_enabled() const { return msix_ && msix_->enabled(); }
  [[nodiscard]] uint8_t acknowledge();
  void interrupt(uint8_t reason, uint16_t vector);
  void access_through_config(bool write);
  void update_messages();

  std::unique_ptr<VirtioDevice> device_;
  std::optional<DmaMemory> memory_;
  std::optional<Msix> msix_;
  unsigned msix_control_ = 0;   // offset of its control word
  unsigned config_access_ = 0;  // offset of the PCI configuration access capability; 0: none

  uint32_t device_feature_select_ = 0;
  uint32_t driver_feature_select_ = 0;
  uint16_t queue_select_ = 0;
  uint8_t isr_ = 0;
  uint16_t config_vector_ = Msix::kNoVector;
  std::vector<uint16_t> queue_vectors_;
};

}  // namespace vitrine::devices
