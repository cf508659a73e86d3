#include "devices/vga_state.h"

#include <algorithm>

namespace vitrine::devices {
namespace {

constexpr unsigned kMaxWidth = 4096;
constexpr unsigned kMaxHeight = 4096;
constexpr unsigned kMaxVirtualWidth = 16384;

// A row's length; four bits are one bit in each of the four planes.
unsigned row_bytes(unsigned pixels, unsigned bits) {
  if (bits == 4) return (pixels + 7) / 8 * 4;
  return pixels * ((bits + 7) / 8);
}

}  // namespace

VbeMode VgaState::vbe_mode(uint64_t memory_size) const {
  VbeMode mode;
  const unsigned bits = vbe[kVbeBpp];
  const bool known = bits == 4 || bits == 15 || bits == 16 || bits == 24 || bits == 32;
  mode.bits = known ? bits : 8;
  mode.width = std::clamp<unsigned>(vbe[kVbeXres], 8, kMaxWidth);
  mode.virtual_width = std::clamp<unsigned>(vbe[kVbeVirtualWidth], mode.width, kMaxVirtualWidth);
  mode.line_bytes = row_bytes(mode.virtual_width, mode.bits);
  const uint64_t fits = std::max<uint64_t>(memory_size / mode.line_bytes, 1);
  mode.height =
      static_cast<unsigned>(std::min<uint64_t>(std::clamp<unsigned>(vbe[kVbeYres], 1, kMaxHeight), fits));
  const uint64_t left = mode.bits == 4 ? vbe[kVbeXoffset] / 8 * 4 : row_bytes(vbe[kVbeXoffset], mode.bits);
  mode.start = uint64_t{vbe[kVbeYoffset]} * mode.line_bytes + left;
  // A window that does not lie in memory shows the beginning of it.
  if (mode.start + uint64_t{mode.height} * mode.line_bytes > memory_size) mode.start = 0;
  return mode;
}

bool VgaState::screen_on() const {
  const bool palette = (attribute_index & 0x20) != 0;
  const bool sequencer_on = (sequencer[1] & 0x20) == 0;
  const bool sync = (crtc[0x17] & 0x80) != 0;
  if (vbe_enabled()) return palette;
  return palette && sequencer_on && sync;
}

unsigned VgaState::display_address(unsigned counter, unsigned row_scan) const {
  unsigned address = counter & 0xffff;
  const uint8_t mode = crtc[0x17];
  if ((crtc[0x14] & 0x40) != 0) {
    address = address << 2 | (address >> 14 & 3);
  } else if ((mode & 0x40) == 0) {
    // IBM, "CRT Mode Control Register": bit 5 says how much memory wraps round.
    address = address << 1 | (address >> ((mode & 0x20) != 0 ? 15 : 13) & 1);
  }
  if ((mode & 1) == 0) address = (address & ~0x2000u) | (row_scan & 1) << 13;
  if ((mode & 2) == 0) address = (address & ~0x4000u) | (row_scan & 2) << 13;
  return address & 0xffff;
}

}  // namespace vitrine::devices
