// The 82441FX host bridge, PCI function 00.0: it decides which physical addresses are system RAM.
//
//   00000–9FFFF     RAM
//   A0000–BFFFF     PCI (the VGA's window), or RAM while SMRAM is open
//   C0000–FFFFF     13 segments, each with RAM or PCI for reads and RAM or PCI for writes (PAM registers)
//   100000–top      RAM; what does not fit below the PCI hole continues at 4 GiB
//
// Documentation: Intel 440FX PCIset, 82441FX (PMC) data sheet.
// Implemented: PAM0–PAM6, SMRAM (D_OPEN, D_LCK), the sum of memory in DRB7 and, as QEMU's `pc` has it, in
// 57h. Missing: system-management mode (D_CLS and G_SMRAME are stored only), DRAM timing and error registers.
// Ignored: the fixed hole (FDHC); PCI memory that a guest places at C0000–FFFFF: what answers there is the
// image of
//   legacy ROMs handed to the constructor.
#pragma once

#include <array>
#include <cstdint>

#include "devices/pci_device.h"
#include "memory/physical_map.h"

namespace vitrine::devices {

class I440fx : public PciDevice {
 public:
  static constexpr uint64_t kLegacyRomStart = 0xc0000;
  static constexpr uint64_t kLegacyRomSize = 0x40000;

  /// Places `ram` (at least 1 MiB, whole pages) in `memory`, which must outlive the bridge. `legacy_rom`
  /// (kLegacyRomSize bytes) is what PCI has at C0000–FFFFF: option ROMs and the BIOS, to be filled by the
  /// owner.
  I440fx(memory::PhysicalMap& memory, memory::RamBlock& ram, memory::RamBlock& legacy_rom);
  ~I440fx() override;

  /// RAM from address 0 to the PCI hole, in bytes.
  [[nodiscard]] uint64_t below_4g() const { return below_4g_; }
  /// RAM from 4 GiB on, in bytes.
  [[nodiscard]] uint64_t above_4g() const { return ram_.size() - below_4g_; }

 private:
  static constexpr unsigned kSegments = 13;
  struct Segment {
    memory::PlacementId placed = 0;
    uint8_t attributes = 0;  // bit 0: reads from RAM, bit 1: writes to RAM
  };

  [[nodiscard]] static memory::Placement nothing(uint64_t start, uint64_t size, int priority);
  [[nodiscard]] memory::Placement segment_placement(unsigned segment, uint8_t attributes) const;
  [[nodiscard]] uint8_t segment_attributes(unsigned segment) const;
  void update_segments();
  void update_smram();

  void config_written(unsigned offset, unsigned size) override;
  void reset_device() override;
  void serialize_device(StateArchive& archive) override;

  memory::PhysicalMap& memory_;
  memory::RamBlock& ram_;
  memory::RamBlock& legacy_rom_;
  uint64_t below_4g_;
  std::array<Segment, kSegments> segments_{};
  memory::PlacementId low_ram_ = 0;
  memory::PlacementId high_ram_ = 0;  // 0 while there is none
  memory::PlacementId hole_ = 0;
  memory::PlacementId open_smram_ = 0;  // 0 while closed
};

}  // namespace vitrine::devices
