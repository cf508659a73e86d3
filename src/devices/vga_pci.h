// The VGA as a PCI function, 1234:1111, as QEMU's `-vga std`: the frame buffer in BAR 0, registers in BAR 2,
// the video BIOS in the expansion ROM.
//
// Documentation: QEMU, "QEMU Standard VGA" (docs/specs/standard-vga); PCI Local Bus Specification 2.2.
// Implemented: BAR 0 (the whole frame buffer), BAR 2: ports 3C0h–3DFh at 400h, Bochs registers at 500h, size
// and byte
//   order registers at 600h.
// Missing: EDID (the bytes from 0 to 3FFh read as zero, which drivers take for none), big-endian frame
// buffers. Ignored: the command register does not switch the legacy ports and window off.
#pragma once

#include "devices/pci_device.h"
#include "devices/vga.h"

namespace vitrine::devices {

class VgaPci : public PciDevice, public memory::MemoryDevice {
 public:
  /// `rom` is the video BIOS, its size a power of two, or null: then it must lie at C0000h by other means.
  VgaPci(Vga& vga, memory::RamBlock* rom);

  [[nodiscard]] std::string_view name() const override { return "vga-pci"; }
  uint64_t read_memory(uint64_t offset, unsigned size) override;
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override;

 private:
  void reset_device() override { vga_.reset(); }
  void serialize_device(StateArchive& archive) override { vga_.serialize(archive); }

  Vga& vga_;
};

}  // namespace vitrine::devices
