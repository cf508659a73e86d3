// The registers of a VGA with the Bochs display interface, as plain data: written by Vga, read by the
// renderer and the text view. Plane p of byte address a lies at a * 4 + p of the frame buffer, so that one
// dword holds what the latches hold; Bochs display modes of 8 bits and more use the frame buffer linearly.
//
// Documentation: IBM VGA, "Personal System/2 Hardware Interface Technical Reference", "Video Subsystem".
#pragma once

#include <array>
#include <cstdint>

namespace vitrine::devices {

/// Registers of the Bochs display interface by index.
enum VbeIndex : uint16_t {
  kVbeId = 0,
  kVbeXres = 1,
  kVbeYres = 2,
  kVbeBpp = 3,
  kVbeEnable = 4,
  kVbeBank = 5,
  kVbeVirtualWidth = 6,
  kVbeVirtualHeight = 7,
  kVbeXoffset = 8,
  kVbeYoffset = 9,
  kVbeMemory64K = 10,
  kVbeCount = 11,
};

inline constexpr uint16_t kVbeEnabled = 0x01;
inline constexpr uint16_t kVbeGetCapabilities = 0x02;
inline constexpr uint16_t kVbe8BitDac = 0x20;
inline constexpr uint16_t kVbeLinear = 0x40;
inline constexpr uint16_t kVbeNoClear = 0x80;

/// A Bochs display mode, made consistent with the size of the frame buffer.
struct VbeMode {
  unsigned width = 0;
  unsigned height = 0;
  unsigned bits = 0;  ///< 4, 8, 15, 16, 24 or 32
  unsigned virtual_width = 0;
  unsigned line_bytes = 0;  ///< in the frame buffer, planes included
  uint64_t start = 0;       ///< byte in the frame buffer of the upper left pixel (for 4 bits: of its dword)
};

struct VgaState {
  static constexpr unsigned kSequencerCount = 8;
  static constexpr unsigned kGraphicsCount = 16;
  static constexpr unsigned kCrtcCount = 25;
  static constexpr unsigned kAttributeCount = 21;

  uint8_t misc = 0;
  uint8_t feature = 0;
  uint8_t sequencer_index = 0;
  uint8_t graphics_index = 0;
  uint8_t crtc_index = 0;
  uint8_t attribute_index = 0;  ///< with the palette address source in bit 5
  std::array<uint8_t, kSequencerCount> sequencer{};
  std::array<uint8_t, kGraphicsCount> graphics{};
  std::array<uint8_t, kCrtcCount> crtc{};
  std::array<uint8_t, kAttributeCount> attribute{};
  std::array<uint8_t, 768> dac{};  ///< red, green, blue; six bits each, or eight with kVbe8BitDac
  uint8_t dac_mask = 0xff;
  uint16_t vbe_index = 0;
  std::array<uint16_t, kVbeCount> vbe{};
  uint32_t latch = 0;  ///< plane 0 in the low byte

  [[nodiscard]] bool vbe_enabled() const { return (vbe[kVbeEnable] & kVbeEnabled) != 0; }
  /// Bytes rather than planes: Bochs display modes of 8 bits and more.
  [[nodiscard]] bool linear() const { return vbe_enabled() && vbe[kVbeBpp] != 4; }
  /// The Bochs display mode as it works out with so much memory; meaningful while enabled.
  [[nodiscard]] VbeMode vbe_mode(uint64_t memory_size) const;

  [[nodiscard]] bool text() const { return !vbe_enabled() && (graphics[6] & 1) == 0; }
  /// Whether anything is shown at all.
  [[nodiscard]] bool screen_on() const;
  /// Displayed characters (of 8 or 9 dots) in a line.
  [[nodiscard]] unsigned columns() const { return crtc[1] + 1u; }
  /// Displayed scan lines.
  [[nodiscard]] unsigned lines() const { return (crtc[0x12] | vertical_bits(1, 6)) + 1u; }
  [[nodiscard]] unsigned total_lines() const { return (crtc[6] | vertical_bits(0, 5)) + 2u; }
  [[nodiscard]] unsigned retrace_start() const { return crtc[0x10] | vertical_bits(2, 7); }
  [[nodiscard]] unsigned line_compare() const {
    return crtc[0x18] | (crtc[7] & 0x10u) << 4 | (crtc[9] & 0x40u) << 3;
  }
  [[nodiscard]] unsigned dots_per_character() const { return (sequencer[1] & 1) != 0 ? 8 : 9; }
  [[nodiscard]] unsigned character_height() const { return (crtc[9] & 0x1fu) + 1; }
  [[nodiscard]] unsigned start_address() const { return crtc[0x0c] << 8 | crtc[0x0d]; }
  [[nodiscard]] unsigned cursor_address() const { return crtc[0x0e] << 8 | crtc[0x0f]; }
  /// From one row to the next, in steps of the character counter.
  [[nodiscard]] unsigned row_step() const { return crtc[0x13] * 2u; }
  /// The plane address for a value of the character counter in a line of a row: byte, word or doubleword
  /// addressing, and the CGA and Hercules arrangements in which the row scan counter supplies address bits.
  [[nodiscard]] unsigned display_address(unsigned counter, unsigned row_scan) const;

 private:
  // Bits 8 and 9 of the vertical registers lie in the overflow register.
  [[nodiscard]] unsigned vertical_bits(unsigned bit8, unsigned bit9) const {
    return (crtc[7] >> bit8 & 1u) << 8 | (crtc[7] >> bit9 & 1u) << 9;
  }
};

}  // namespace vitrine::devices
