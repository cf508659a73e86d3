// One function of a PCI device: its 256 bytes of configuration space, its base address registers and
// its interrupt pin. A chip derives from it, describes its header in the constructor, and answers at the
// ports and addresses that the guest programs into the base address registers.
//
// Documentation: PCI Local Bus Specification 2.2/3.0, chapter 6.
// Implemented: type 0 headers; I/O, 32- and 64-bit memory and expansion ROM base addresses with sizing;
//   command bits I/O, memory, bus master, interrupt disable; interrupt status; capability list.
// Missing: type 1 headers (bridges), error reporting, power management, MSI (a chip may add the capability).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/addresses.h"
#include "base/state_archive.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class PciBus;

/// Offsets of the type 0 configuration header.
namespace pci {
inline constexpr unsigned kVendorId = 0x00;
inline constexpr unsigned kDeviceId = 0x02;
inline constexpr unsigned kCommand = 0x04;
inline constexpr unsigned kStatus = 0x06;
inline constexpr unsigned kRevision = 0x08;
inline constexpr unsigned kCacheLineSize = 0x0c;
inline constexpr unsigned kLatencyTimer = 0x0d;
inline constexpr unsigned kHeaderType = 0x0e;
inline constexpr unsigned kBar0 = 0x10;
inline constexpr unsigned kSubsystemVendorId = 0x2c;
inline constexpr unsigned kSubsystemId = 0x2e;
inline constexpr unsigned kRomAddress = 0x30;
inline constexpr unsigned kCapabilities = 0x34;
inline constexpr unsigned kInterruptLine = 0x3c;
inline constexpr unsigned kInterruptPin = 0x3d;

inline constexpr uint16_t kCommandIo = 1 << 0;
inline constexpr uint16_t kCommandMemory = 1 << 1;
inline constexpr uint16_t kCommandMaster = 1 << 2;
inline constexpr uint16_t kCommandParity = 1 << 6;
inline constexpr uint16_t kCommandSerr = 1 << 8;
inline constexpr uint16_t kCommandInterruptDisable = 1 << 10;
inline constexpr uint16_t kStatusInterrupt = 1 << 3;
inline constexpr uint16_t kStatusCapabilities = 1 << 4;
inline constexpr uint16_t kStatusErrors = 0xf900;  ///< Cleared by writing ones.
}  // namespace pci

/// The read-only part of a header.
struct PciIdentity {
  uint16_t vendor = 0;
  uint16_t device = 0;
  uint32_t class_code = 0;  ///< Base class, sub-class, programming interface: 24 bits.
  uint8_t revision = 0;
  uint16_t subsystem_vendor = 0;
  uint16_t subsystem = 0;
  uint8_t interrupt_pin = 0;  ///< 1–4 for INTA#–INTD#, 0 for none.
};

enum class PciFunctions : uint8_t { Single, Multiple };
enum class BarWidth : uint8_t { Bits32, Bits64 };
enum class Prefetch : uint8_t { No, Yes };

class PciDevice : public Serializable {
 public:
  static constexpr unsigned kConfigSize = 256;
  /// Index of the expansion ROM beside base address registers 0–5.
  static constexpr unsigned kRomBar = 6;

  explicit PciDevice(const PciIdentity& identity, PciFunctions functions = PciFunctions::Single);
  ~PciDevice() override;
  PciDevice(const PciDevice&) = delete;
  PciDevice& operator=(const PciDevice&) = delete;

  /// One access of 1, 2 or 4 bytes that ends within the space (PciBus sees to that).
  [[nodiscard]] virtual uint32_t read_config(unsigned offset, unsigned size);
  virtual void write_config(unsigned offset, unsigned size, uint32_t value);

  /// RST#: command and base addresses to zero, the interrupt off; then the chip's own registers
  /// (reset_device).
  void reset();
  /// The header and mapping first, then the chip's own registers (serialize_device).
  void serialize(StateArchive& archive) final;

  /// Where a base address register is mapped now, if it is. `index` 0–5 or kRomBar.
  [[nodiscard]] std::optional<uint64_t> bar_address(unsigned index) const { return bars_[index].mapped; }
  [[nodiscard]] uint16_t command() const { return config16(pci::kCommand); }
  [[nodiscard]] bool bus_master_enabled() const { return (command() & pci::kCommandMaster) != 0; }
  [[nodiscard]] uint8_t interrupt_pin() const { return config_[pci::kInterruptPin]; }
  /// Whether the pin is asserted, after the interrupt disable bit.
  [[nodiscard]] bool interrupt_asserted() const { return interrupt_driven_; }

 protected:
  // For the chip's constructor.
  void define_io_bar(unsigned index, uint32_t size, memory::PortDevice& device,
                     memory::PortWidth width = memory::PortWidth::Byte);
  /// `size` is a power of two of at least a page; the device sees offsets from `offset`.
  void define_memory_bar(unsigned index, uint64_t size, memory::MemoryDevice& device, uint64_t offset = 0,
                         Prefetch prefetch = Prefetch::No, BarWidth width = BarWidth::Bits32);
  /// The whole block (a power of two) as memory that processors reach directly.
  void define_ram_bar(unsigned index, memory::RamBlock& block, Prefetch prefetch = Prefetch::Yes,
                      BarWidth width = BarWidth::Bits32);
  void define_rom_bar(memory::RamBlock& block);
  /// Reserves `size` bytes (the two header bytes included) behind the earlier capabilities, links them in,
  /// and returns their offset. Contents are read-only zeros until set.
  unsigned add_capability(uint8_t id, unsigned size);

  // For the chip, at any time.
  [[nodiscard]] uint8_t config8(unsigned offset) const { return config_[offset]; }
  [[nodiscard]] uint16_t config16(unsigned offset) const;
  [[nodiscard]] uint32_t config32(unsigned offset) const;
  /// Sets contents past the write mask. Command and base addresses take effect at the next guest write or
  /// reset.
  void set_config8(unsigned offset, uint8_t value) { config_[offset] = value; }
  void set_config16(unsigned offset, uint16_t value);
  void set_config32(unsigned offset, uint32_t value);
  void set_write_mask8(unsigned offset, uint8_t mask) { write_mask_[offset] = mask; }
  void set_write_mask16(unsigned offset, uint16_t mask);
  void set_write_mask32(unsigned offset, uint32_t mask);

  /// Drives the interrupt pin; level triggered, active while `level`.
  void set_interrupt(bool level);

  /// Bus master access to memory. False, and nothing done, while the guest has not enabled it, or without a
  /// bus.
  [[nodiscard]] bool dma_read(PhysicalAddress address, std::span<uint8_t> data);
  [[nodiscard]] bool dma_write(PhysicalAddress address, std::span<const uint8_t> data);
  /// The bus this function sits on, or null.
  [[nodiscard]] PciBus* bus() const { return bus_; }

  // Hooks. None is called from constructors or destructors.
  /// A base address register was mapped, moved, or (no address) unmapped.
  virtual void bar_changed(unsigned /*index*/, std::optional<uint64_t> /*address*/) {}
  virtual void command_changed(uint16_t /*command*/) {}
  /// After the guest wrote `size` bytes at `offset`, mask applied.
  virtual void config_written(unsigned /*offset*/, unsigned /*size*/) {}
  virtual void reset_device() {}
  virtual void serialize_device(StateArchive& /*archive*/) {}

 private:
  friend class PciBus;

  enum class BarKind : uint8_t { None, Io, Memory, Rom };
  struct Bar {
    BarKind kind = BarKind::None;
    BarWidth width = BarWidth::Bits32;
    uint64_t size = 0;
    memory::PortDevice* ports = nullptr;
    memory::PortWidth port_width = memory::PortWidth::Byte;
    memory::Placement placement;     ///< All but the start.
    memory::PlacementId placed = 0;  ///< Meaningful while mapped, for memory.
    std::optional<uint64_t> mapped;
  };

  void attach(PciBus& bus, uint8_t position);
  void detach();
  void define_bar(unsigned index, const Bar& bar, uint32_t type_bits);
  [[nodiscard]] std::optional<uint64_t> wanted_address(unsigned index) const;
  void map_bar(Bar& bar, uint64_t address);
  void unmap_bar(Bar& bar);
  void update_bars();
  void update_interrupt();

  std::array<uint8_t, kConfigSize> config_{};
  std::array<uint8_t, kConfigSize> write_mask_{};
  std::array<Bar, 7> bars_{};
  PciBus* bus_ = nullptr;
  uint8_t position_ = 0;  // slot * 8 + function
  uint8_t last_capability_ = 0;
  uint8_t capability_end_ = 0x40;
  bool interrupt_level_ = false;
  bool interrupt_driven_ = false;
};

}  // namespace vitrine::devices
