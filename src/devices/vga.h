// A VGA with the Bochs display interface: its ports, its window at A0000h–BFFFFh, its frame buffer. By itself
// it is an ISA card; VgaPci makes QEMU's `-vga std` of it. What is on the screen is told by VgaRenderer and
// vga_text.h.
//
// Documentation: IBM, "Personal System/2 Hardware Interface Technical Reference", "Video Subsystem" and its
//   Digital-to-Analog Converter; Bochs, "VBE Display Interface" (version B0C5h).
// Implemented: sequencer, graphics, CRT and attribute controllers, DAC with read-back; write modes 0–3, read
// modes
//   0–1, chain 4, odd/even; all memory maps; retrace from the CRT timing; Bochs modes of 4, 8, 15, 16, 24, 32
//   bits.
// Missing: the vertical retrace interrupt, light pen, the 3C2h switch sense.
// Ignored: odd/even page select, the lock of palette registers while they are displayed, interlace.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/vga_state.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class Vga : public memory::PortDevice, public memory::MemoryDevice, public Serializable {
 public:
  static constexpr uint64_t kWindowStart = 0xa0000;
  static constexpr uint64_t kWindowSize = 0x20000;
  static constexpr uint64_t kMinMemory = 0x40000;

  /// Maps its ports and its window. `video_memory` is a power of two of at least kMinMemory, best 16 MiB; its
  /// contents are saved by whoever owns it. All must outlive the device.
  Vga(Clock& clock, memory::PortMap& ports, memory::PhysicalMap& memory, memory::RamBlock& video_memory);
  ~Vga() override;

  [[nodiscard]] const VgaState& state() const { return state_; }
  [[nodiscard]] memory::RamBlock& video_memory() { return video_memory_; }
  [[nodiscard]] const memory::RamBlock& video_memory() const { return video_memory_; }
  /// Frames since the clock began, at the rate of the programmed timing: for what blinks.
  [[nodiscard]] uint64_t frame() const;

  void reset();

  [[nodiscard]] std::string_view name() const override { return "vga"; }
  uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  /// The window; `offset` counts from kWindowStart.
  uint64_t read_memory(uint64_t offset, unsigned size) override;
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override;
  [[nodiscard]] uint16_t read_vbe(uint16_t index) const;
  void write_vbe(uint16_t index, uint16_t value);

  void serialize(StateArchive& archive) override;

 private:
  struct Timing {
    Nanoseconds line = 1;       // one scan line
    Nanoseconds frame = 1;      // all of them
    Nanoseconds displayed = 1;  // of a line
  };

  // Registers (vga.cc).
  [[nodiscard]] bool crtc_at(uint16_t port) const;
  [[nodiscard]] uint8_t read_register(uint16_t port);
  void write_register(uint16_t port, uint8_t value);
  void write_attribute(uint8_t value);
  void write_crtc(uint8_t value);
  [[nodiscard]] uint8_t read_status();
  [[nodiscard]] Timing timing() const;
  [[nodiscard]] uint8_t read_dac();
  void write_dac(uint8_t value);
  void enable_vbe(uint16_t value);

  // The path between processor and planes (vga_memory.cc).
  /// Where in the current memory map an offset into the window lies, or a number beyond it.
  [[nodiscard]] uint64_t window_address(uint64_t offset) const;
  [[nodiscard]] uint8_t read_byte(uint64_t offset);
  void write_byte(uint64_t offset, uint8_t value);
  [[nodiscard]] uint64_t bank_offset() const;
  [[nodiscard]] uint64_t plane_index(uint64_t address) const;
  [[nodiscard]] uint32_t load(uint64_t index) const;
  void store(uint64_t index, uint32_t value, uint32_t plane_mask);
  [[nodiscard]] uint32_t pipeline(uint8_t value) const;

  Clock& clock_;
  memory::PortMap& ports_;
  memory::PhysicalMap& memory_;
  memory::RamBlock& video_memory_;
  memory::PlacementId window_;

  VgaState state_;
  bool attribute_data_next_ = false;  // the flip-flop at 3C0h
  uint8_t dac_read_index_ = 0;
  uint8_t dac_write_index_ = 0;
  uint8_t dac_component_ = 0;  // 0–2
  uint8_t dac_state_ = 0;      // 3 after a read index was written
  uint8_t dac_pending_[3] = {};
};

}  // namespace vitrine::devices
