// Makes a picture of what a VGA shows now: text with its font, cursor and blinking; CGA, EGA and VGA
// graphics; 256 colours, unchained modes included; the Bochs display modes.
//
// The picture has the dots that a monitor would get: the 320 × 200 modes come out at 640 × 400, text at 720 ×
// 400. Implemented: start address, row offset, panning, preset row scan, line compare, scan doubling, half
// dot clock, colour
//   plane enable, palette and DAC. Missing: the border, interlace, graphics with nine dots a character.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/vga_state.h"

namespace vitrine::devices {

struct VgaImage {
  unsigned width = 0;
  unsigned height = 0;
  std::vector<uint32_t> pixels;  ///< 00RRGGBBh, rows from the top
};

class VgaRenderer {
 public:
  /// `memory` is the frame buffer (at least 256 KiB); `frame` counts the frames since the beginning, for what
  /// blinks. Both are looked at, not kept, beyond the renderer's own life.
  VgaRenderer(const VgaState& state, std::span<const uint8_t> memory, uint64_t frame);

  [[nodiscard]] VgaImage render();

 private:
  struct Line {
    unsigned counter = 0;  // of the leftmost character
    unsigned row_scan = 0;
    unsigned pan = 0;  // dots shifted out at the left
  };

  [[nodiscard]] uint32_t dac_colour(uint8_t index) const;
  [[nodiscard]] uint8_t palette_index(unsigned pixel) const;
  [[nodiscard]] uint32_t fetch(unsigned address) const;

  void render_legacy(VgaImage& image);
  void render_line(const Line& line, std::span<uint32_t> out);
  void text_character(unsigned counter, unsigned row_scan);
  void graphics_character(uint32_t planes);
  [[nodiscard]] unsigned initial_pan() const;
  [[nodiscard]] unsigned dots() const;

  void render_vbe(VgaImage& image) const;
  [[nodiscard]] uint32_t vbe_pixel(const VbeMode& mode, std::span<const uint8_t> row, unsigned x) const;

  const VgaState& state_;
  std::span<const uint8_t> memory_;
  uint64_t frame_;
  std::array<uint32_t, 16> attribute_colours_{};
  std::array<uint32_t, 256> dac_colours_{};
  std::vector<uint32_t> dots_;  // of the line being made
};

}  // namespace vitrine::devices
