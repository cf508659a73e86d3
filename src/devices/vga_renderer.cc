#include "devices/vga_renderer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace vitrine::devices {
namespace {

constexpr uint8_t kModeBlink = 0x08;
constexpr uint8_t kModeLineGraphics = 0x04;
constexpr uint8_t kModePanCompatible = 0x20;
constexpr uint8_t kModePaletteSelect = 0x80;
constexpr uint8_t kShiftInterleaved = 0x20;
constexpr uint8_t kShift256 = 0x40;
constexpr uint8_t kHalfDotClock = 0x08;
constexpr uint8_t kScanDoubling = 0x80;
constexpr uint8_t kCursorOff = 0x20;

// Halves of the blinking periods, in frames.
constexpr unsigned kCursorShift = 4;
constexpr unsigned kTextShift = 5;

uint8_t plane(uint32_t planes, unsigned index) {
  return static_cast<uint8_t>(planes >> (8 * index));
}

// Eight dots of one bit in each plane.
unsigned planar_pixel(uint32_t planes, unsigned dot) {
  unsigned pixel = 0;
  for (unsigned i = 0; i < 4; ++i) pixel |= (plane(planes, i) >> (7 - dot) & 1u) << i;
  return pixel;
}

// Two bits a dot: the first four dots from planes 0 and 2, the others from 1 and 3.
unsigned interleaved_pixel(uint32_t planes, unsigned dot) {
  const unsigned shift = 6 - 2 * (dot & 3);
  const unsigned low = dot < 4 ? 0 : 1;
  return (plane(planes, low) >> shift & 3u) | (plane(planes, low + 2) >> shift & 3u) << 2;
}

// IBM, "Character Map Select Register": where in plane 2 a font lies.
unsigned font_offset(unsigned select) {
  return (select & 3) * 0x4000 + (select >> 2) * 0x2000;
}

constexpr uint32_t expand(unsigned value, unsigned bits) {
  const unsigned wide = value << (8 - bits);
  return wide | wide >> bits;
}

}  // namespace

VgaRenderer::VgaRenderer(const VgaState& state, std::span<const uint8_t> memory, uint64_t frame)
    : state_(state), memory_(memory), frame_(frame) {
  CHECK(memory.size() >= 0x40000);
  for (unsigned i = 0; i < 256; ++i) dac_colours_[i] = dac_colour(static_cast<uint8_t>(i));
  for (unsigned i = 0; i < 16; ++i) attribute_colours_[i] = dac_colours_[palette_index(i)];
}

uint32_t VgaRenderer::dac_colour(uint8_t index) const {
  const unsigned entry = (index & state_.dac_mask) * 3u;
  const bool wide = (state_.vbe[kVbeEnable] & kVbe8BitDac) != 0;
  uint32_t colour = 0;
  for (unsigned i = 0; i < 3; ++i) {
    const uint8_t value = state_.dac[entry + i];
    colour = colour << 8 | (wide ? value : (value & 0x3fu) << 2 | (value >> 4 & 3u));
  }
  return colour;
}

// From four bits of a pixel, after the plane enables, to the index of a colour in the DAC.
uint8_t VgaRenderer::palette_index(unsigned pixel) const {
  const auto& attribute = state_.attribute;
  unsigned index = attribute[pixel & attribute[0x12] & 0x0f] & 0x3fu;
  if ((attribute[0x10] & kModePaletteSelect) != 0) index = (index & 0x0f) | (attribute[0x14] & 3u) << 4;
  return static_cast<uint8_t>(index | (attribute[0x14] & 0x0cu) << 4);
}

uint32_t VgaRenderer::fetch(unsigned address) const {
  uint32_t planes = 0;
  std::memcpy(&planes, memory_.data() + size_t{address} * 4, 4);
  return planes;
}

VgaImage VgaRenderer::render() {
  VgaImage image;
  if (state_.vbe_enabled()) {
    const VbeMode mode = state_.vbe_mode(memory_.size());
    image.width = mode.width;
    image.height = mode.height;
  } else {
    image.width = state_.columns() * dots() * ((state_.sequencer[1] & kHalfDotClock) != 0 ? 2 : 1);
    image.height = state_.lines();
  }
  image.pixels.assign(size_t{image.width} * image.height, 0);
  if (!state_.screen_on()) return image;
  if (state_.vbe_enabled()) {
    render_vbe(image);
  } else {
    render_legacy(image);
  }
  return image;
}

unsigned VgaRenderer::dots() const {
  return state_.text() ? state_.dots_per_character() : 8;
}

// IBM, "Horizontal PEL Panning Register": with nine dots, 8 means none and 0 means one.
unsigned VgaRenderer::initial_pan() const {
  const unsigned pan = state_.attribute[0x13] & 0x0f;
  if (dots() == 9) return pan >= 8 ? 0 : pan + 1;
  return pan & 7;
}

void VgaRenderer::render_legacy(VgaImage& image) {
  Line line;
  line.counter = state_.start_address() + (state_.crtc[8] >> 5 & 3u);
  line.row_scan = state_.crtc[8] & 0x1f;
  line.pan = initial_pan();
  const unsigned last_scan = state_.character_height() - 1;
  const bool doubled = (state_.crtc[9] & kScanDoubling) != 0;
  bool second = false;
  for (unsigned y = 0; y < image.height; ++y) {
    if (y == state_.line_compare() + 1) {
      line.counter = 0;
      line.row_scan = 0;
      second = false;
      if ((state_.attribute[0x10] & kModePanCompatible) != 0) line.pan = 0;
    }
    render_line(line, std::span(image.pixels).subspan(size_t{y} * image.width, image.width));
    if (doubled) {
      second = !second;
      if (second) continue;
    }
    if (line.row_scan == last_scan) {
      line.row_scan = 0;
      line.counter += state_.row_step();
    } else {
      line.row_scan = (line.row_scan + 1) & 0x1f;
    }
  }
}

void VgaRenderer::render_line(const Line& line, std::span<uint32_t> out) {
  dots_.clear();
  // One character more than is shown, for panning.
  for (unsigned column = 0; column <= state_.columns(); ++column) {
    const unsigned counter = line.counter + column;
    if (state_.text()) {
      text_character(counter, line.row_scan);
    } else {
      graphics_character(fetch(state_.display_address(counter, line.row_scan)));
    }
  }
  const unsigned repeat = (state_.sequencer[1] & kHalfDotClock) != 0 ? 2 : 1;
  for (unsigned x = 0; x < out.size(); ++x) out[x] = dots_[line.pan + x / repeat];
}

void VgaRenderer::text_character(unsigned counter, unsigned row_scan) {
  const uint32_t cell = fetch(state_.display_address(counter, row_scan));
  const uint8_t character = plane(cell, 0);
  const uint8_t attribute = plane(cell, 1);

  const uint8_t maps = state_.sequencer[3];
  const unsigned map_b = (maps & 3u) | (maps >> 2 & 4u);
  const unsigned map_a = (maps >> 2 & 3u) | (maps >> 3 & 4u);
  const unsigned font = font_offset((attribute & 0x08) != 0 ? map_a : map_b);
  const unsigned glyph_address = (font + character * 32u + row_scan) & 0xffff;
  uint8_t glyph = plane(fetch(glyph_address), 2);

  unsigned background = attribute >> 4;
  const uint8_t mode = state_.attribute[0x10];
  if ((mode & kModeBlink) != 0) {
    background &= 7;
    if ((attribute & 0x80) != 0 && (frame_ >> kTextShift & 1) != 0) glyph = 0;
  }
  bool ninth = (mode & kModeLineGraphics) != 0 && character >= 0xc0 && character <= 0xdf && (glyph & 1) != 0;
  // Monochrome text, "underline": foreground 1 on background 0.
  const bool underlined = (attribute & 0x77) == 0x01 && row_scan == (state_.crtc[0x14] & 0x1fu);
  const bool cursor = (counter & 0xffff) == state_.cursor_address() &&
                      (state_.crtc[0x0a] & kCursorOff) == 0 && row_scan >= (state_.crtc[0x0a] & 0x1fu) &&
                      row_scan <= (state_.crtc[0x0b] & 0x1fu) && (frame_ >> kCursorShift & 1) == 0;
  if (underlined || cursor) {
    glyph = 0xff;
    ninth = true;
  }
  const uint32_t on = attribute_colours_[attribute & 0x0f];
  const uint32_t off = attribute_colours_[background];
  for (unsigned dot = 0; dot < 8; ++dot) dots_.push_back((glyph >> (7 - dot) & 1) != 0 ? on : off);
  if (dots() == 9) dots_.push_back(ninth ? on : off);
}

void VgaRenderer::graphics_character(uint32_t planes) {
  const uint8_t mode = state_.graphics[5];
  for (unsigned dot = 0; dot < 8; ++dot) {
    if ((mode & kShift256) != 0) {
      dots_.push_back(dac_colours_[plane(planes, dot / 2)]);
    } else if ((mode & kShiftInterleaved) != 0) {
      dots_.push_back(attribute_colours_[interleaved_pixel(planes, dot)]);
    } else {
      dots_.push_back(attribute_colours_[planar_pixel(planes, dot)]);
    }
  }
}

void VgaRenderer::render_vbe(VgaImage& image) const {
  const VbeMode mode = state_.vbe_mode(memory_.size());
  for (unsigned y = 0; y < mode.height; ++y) {
    const uint64_t start = mode.start + uint64_t{y} * mode.line_bytes;
    if (start + mode.line_bytes > memory_.size()) break;
    const std::span<const uint8_t> row = memory_.subspan(start, mode.line_bytes);
    for (unsigned x = 0; x < mode.width; ++x)
      image.pixels[size_t{y} * mode.width + x] = vbe_pixel(mode, row, x);
  }
}

uint32_t VgaRenderer::vbe_pixel(const VbeMode& mode, std::span<const uint8_t> row, unsigned x) const {
  const unsigned bytes = (mode.bits + 7) / 8;
  uint32_t value = 0;
  if (mode.bits == 4) {
    std::memcpy(&value, &row[x / 8 * 4], 4);
    return attribute_colours_[planar_pixel(value, x % 8)];
  }
  std::memcpy(&value, &row[size_t{x} * bytes], bytes);
  switch (mode.bits) {
    case 8: return dac_colours_[value];
    case 15:
      return expand(value >> 10 & 31, 5) << 16 | expand(value >> 5 & 31, 5) << 8 | expand(value & 31, 5);
    case 16:
      return expand(value >> 11 & 31, 5) << 16 | expand(value >> 5 & 63, 6) << 8 | expand(value & 31, 5);
    default: return value & 0xffffff;
  }
}

}  // namespace vitrine::devices
