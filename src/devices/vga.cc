#include "devices/vga.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "devices/map_priorities.h"

namespace vitrine::devices {
namespace {

constexpr uint16_t kPortsStart = 0x3b0;
constexpr uint16_t kVbeStart = 0x1ce;
constexpr unsigned kVbePorts = 4;

constexpr uint16_t kVbeLatest = 0xb0c5;
constexpr uint16_t kVbeOldest = 0xb0c0;

// Bits that exist, from the tables of "Video Subsystem".
constexpr uint8_t kSequencerMask[] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0};
constexpr uint8_t kGraphicsMask[] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f,
                                     0xff, 0,    0,    0,    0,    0,    0,    0};
constexpr uint8_t kAttributeMask[] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
                                      0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};
static_assert(std::size(kAttributeMask) == VgaState::kAttributeCount);

constexpr uint8_t kMiscColourPorts = 0x01;
constexpr uint8_t kAttributeIndexMask = 0x1f;
constexpr uint8_t kPaletteSource = 0x20;
constexpr uint8_t kCrtcProtect = 0x80;
constexpr uint8_t kStatusNotDisplaying = 0x01;
constexpr uint8_t kStatusVerticalRetrace = 0x08;

}  // namespace

Vga::Vga(Clock& clock, memory::PortMap& ports, memory::PhysicalMap& memory, memory::RamBlock& video_memory)
    : clock_(clock), ports_(ports), memory_(memory), video_memory_(video_memory) {
  CHECK(std::has_single_bit(video_memory.size()) && video_memory.size() >= kMinMemory);
  ports_.map(kPortsStart + 4, 2, *this);
  ports_.map(0x3ba, 1, *this);
  ports_.map(0x3c0, 16, *this);
  ports_.map(0x3d4, 2, *this);
  ports_.map(0x3da, 1, *this);
  // The data port is odd: a word there must not be cut in two.
  ports_.map(kVbeStart, kVbePorts, *this, memory::PortWidth::Word);
  window_ = memory_.add(
      memory::Placement::mmio(PhysicalAddress(kWindowStart), kWindowSize, *this, 0, kPriorityVga));
  reset();
}

Vga::~Vga() {
  memory_.remove(window_);
  ports_.unmap(kVbeStart, kVbePorts, *this);
  ports_.unmap(0x3da, 1, *this);
  ports_.unmap(0x3d4, 2, *this);
  ports_.unmap(0x3c0, 16, *this);
  ports_.unmap(0x3ba, 1, *this);
  ports_.unmap(kPortsStart + 4, 2, *this);
}

void Vga::reset() {
  state_ = {};
  state_.vbe[kVbeId] = kVbeLatest;
  state_.vbe[kVbeBpp] = 8;
  attribute_data_next_ = false;
  dac_read_index_ = 0;
  dac_write_index_ = 0;
  dac_component_ = 0;
  dac_state_ = 0;
}

uint32_t Vga::read_port(uint16_t port, unsigned) {
  if (port < kPortsStart) {
    if (port == kVbeStart) return state_.vbe_index;
    return read_vbe(state_.vbe_index);
  }
  return read_register(port);
}

void Vga::write_port(uint16_t port, unsigned, uint32_t value) {
  if (port < kPortsStart) {
    if (port == kVbeStart) {
      state_.vbe_index = static_cast<uint16_t>(value);
    } else {
      write_vbe(state_.vbe_index, static_cast<uint16_t>(value));
    }
    return;
  }
  write_register(port, static_cast<uint8_t>(value));
}

// The CRT controller and status answer at 3Bxh or 3Dxh as the miscellaneous register says.
bool Vga::crtc_at(uint16_t port) const {
  return (port >= 0x3d0) == ((state_.misc & kMiscColourPorts) != 0);
}

uint8_t Vga::read_register(uint16_t port) {
  switch (port) {
    case 0x3c0: return attribute_data_next_ ? 0 : state_.attribute_index;
    case 0x3c1: {
      const unsigned index = state_.attribute_index & kAttributeIndexMask;
      return index < VgaState::kAttributeCount ? state_.attribute[index] : 0;
    }
    case 0x3c2: return 0;
    case 0x3c4: return state_.sequencer_index;
    case 0x3c5: return state_.sequencer[state_.sequencer_index];
    case 0x3c6: return state_.dac_mask;
    case 0x3c7: return dac_state_;
    case 0x3c8: return dac_write_index_;
    case 0x3c9: return read_dac();
    case 0x3ca: return state_.feature;
    case 0x3cc: return state_.misc;
    case 0x3ce: return state_.graphics_index;
    case 0x3cf: return state_.graphics[state_.graphics_index];
    case 0x3b4:
    case 0x3d4: return crtc_at(port) ? state_.crtc_index : 0xff;
    case 0x3b5:
    case 0x3d5:
      if (!crtc_at(port)) return 0xff;
      return state_.crtc_index < VgaState::kCrtcCount ? state_.crtc[state_.crtc_index] : 0;
    case 0x3ba:
    case 0x3da: return crtc_at(port) ? read_status() : 0xff;
    default: return 0xff;
  }
}

void Vga::write_register(uint16_t port, uint8_t value) {
  switch (port) {
    case 0x3c0: write_attribute(value); break;
    case 0x3c2: state_.misc = value & 0xef; break;
    case 0x3c4: state_.sequencer_index = value & 7; break;
    case 0x3c5:
      state_.sequencer[state_.sequencer_index] = value & kSequencerMask[state_.sequencer_index];
      break;
    case 0x3c6: state_.dac_mask = value; break;
    case 0x3c7:
      dac_read_index_ = value;
      dac_component_ = 0;
      dac_state_ = 3;
      break;
    case 0x3c8:
      dac_write_index_ = value;
      dac_component_ = 0;
      dac_state_ = 0;
      break;
    case 0x3c9: write_dac(value); break;
    case 0x3ce: state_.graphics_index = value & 0x0f; break;
    case 0x3cf: state_.graphics[state_.graphics_index] = value & kGraphicsMask[state_.graphics_index]; break;
    case 0x3b4:
    case 0x3d4:
      if (crtc_at(port)) state_.crtc_index = value;
      break;
    case 0x3b5:
    case 0x3d5:
      if (crtc_at(port)) write_crtc(value);
      break;
    case 0x3ba:
    case 0x3da:
      if (crtc_at(port)) state_.feature = value & 0x03;
      break;
    default: break;
  }
}

void Vga::write_attribute(uint8_t value) {
  attribute_data_next_ = !attribute_data_next_;
  if (attribute_data_next_) {
    state_.attribute_index = value & (kAttributeIndexMask | kPaletteSource);
    return;
  }
  const unsigned index = state_.attribute_index & kAttributeIndexMask;
  if (index < VgaState::kAttributeCount) state_.attribute[index] = value & kAttributeMask[index];
}

void Vga::write_crtc(uint8_t value) {
  const unsigned index = state_.crtc_index;
  if (index >= VgaState::kCrtcCount) return;
  // IBM, "Vertical Retrace End Register": bit 7 protects registers 0–7, but for the line compare bit in 7.
  if ((state_.crtc[0x11] & kCrtcProtect) != 0 && index <= 7) {
    if (index == 7) state_.crtc[7] = static_cast<uint8_t>((state_.crtc[7] & ~0x10) | (value & 0x10));
    return;
  }
  state_.crtc[index] = value;
}

Vga::Timing Vga::timing() const {
  const uint64_t dot_clock = (state_.misc >> 2 & 3) == 1 ? 28'322'000 : 25'175'000;
  uint64_t character = state_.dots_per_character();
  if ((state_.sequencer[1] & 0x08) != 0) character *= 2;
  const uint64_t total = (state_.crtc[0] + uint64_t{5}) * character;
  const uint64_t shown = std::min(total, state_.columns() * character);
  Timing timing;
  timing.line = std::max<uint64_t>(1, scale(total, kNanosecondsPerSecond, dot_clock));
  timing.displayed = scale(shown, kNanosecondsPerSecond, dot_clock);
  timing.frame = timing.line * state_.total_lines();
  return timing;
}

uint64_t Vga::frame() const {
  return clock_.now() / timing().frame;
}

// IBM, "Input Status Register 1": where the beam is now. Reading it makes the next write to 3C0h an index.
uint8_t Vga::read_status() {
  attribute_data_next_ = false;
  const Timing time = timing();
  const Nanoseconds now = clock_.now() % time.frame;
  const uint64_t line = now / time.line;
  uint8_t status = 0;
  if (line >= state_.lines() || now % time.line >= time.displayed) status |= kStatusNotDisplaying;
  const uint64_t start = state_.retrace_start();
  // The end register holds the low four bits of the line that ends the pulse.
  const uint64_t pulse = ((state_.crtc[0x11] - start - 1) & 0x0f) + 1;
  if (line >= start && line < start + pulse) status |= kStatusVerticalRetrace | kStatusNotDisplaying;
  return status;
}

uint8_t Vga::read_dac() {
  const uint8_t value = state_.dac[dac_read_index_ * 3u + dac_component_];
  if (++dac_component_ == 3) {
    dac_component_ = 0;
    ++dac_read_index_;
  }
  return value;
}

// A colour changes when its third component has come.
void Vga::write_dac(uint8_t value) {
  dac_pending_[dac_component_] = (state_.vbe[kVbeEnable] & kVbe8BitDac) != 0 ? value : value & 0x3f;
  if (++dac_component_ < 3) return;
  dac_component_ = 0;
  std::memcpy(&state_.dac[dac_write_index_ * 3u], dac_pending_, 3);
  ++dac_write_index_;
}

uint16_t Vga::read_vbe(uint16_t index) const {
  if (index >= kVbeCount) return 0;
  const VbeMode mode = state_.vbe_mode(video_memory_.size());
  if ((state_.vbe[kVbeEnable] & kVbeGetCapabilities) != 0) {
    if (index == kVbeXres || index == kVbeYres) return 4096;
    if (index == kVbeBpp) return 32;
  }
  switch (index) {
    case kVbeVirtualWidth: return static_cast<uint16_t>(mode.virtual_width);
    case kVbeVirtualHeight:
      return static_cast<uint16_t>(std::min<uint64_t>(video_memory_.size() / mode.line_bytes, 0xffff));
    case kVbeMemory64K: return static_cast<uint16_t>(std::min<uint64_t>(video_memory_.size() >> 16, 0xffff));
    default: return state_.vbe[index];
  }
}

void Vga::write_vbe(uint16_t index, uint16_t value) {
  switch (index) {
    case kVbeId:
      if (value >= kVbeOldest && value <= kVbeLatest) state_.vbe[kVbeId] = value;
      break;
    case kVbeBpp:
      if (value == 4 || value == 8 || value == 15 || value == 16 || value == 24 || value == 32) {
        state_.vbe[kVbeBpp] = value;
      } else if (value == 0) {
        state_.vbe[kVbeBpp] = 8;
      }
      break;
    case kVbeEnable: enable_vbe(value); break;
    case kVbeBank:
      state_.vbe[kVbeBank] = value & static_cast<uint16_t>((video_memory_.size() >> 16) - 1);
      break;
    case kVbeXres:
    case kVbeYres:
    case kVbeVirtualWidth:
    case kVbeXoffset:
    case kVbeYoffset: state_.vbe[index] = value; break;
    default: break;  // virtual height and memory size follow from the others
  }
}

void Vga::enable_vbe(uint16_t value) {
  const bool was_enabled = state_.vbe_enabled();
  state_.vbe[kVbeEnable] =
      value & (kVbeEnabled | kVbeGetCapabilities | kVbe8BitDac | kVbeLinear | kVbeNoClear);
  if (!state_.vbe_enabled()) {
    state_.vbe[kVbeBank] = 0;
    return;
  }
  if (was_enabled) return;
  state_.vbe[kVbeVirtualWidth] = 0;
  state_.vbe[kVbeXoffset] = 0;
  state_.vbe[kVbeYoffset] = 0;
  state_.vbe[kVbeBank] = 0;
  if ((value & kVbeNoClear) != 0) return;
  const VbeMode mode = state_.vbe_mode(video_memory_.size());
  const uint64_t size = std::min<uint64_t>(uint64_t{mode.line_bytes} * mode.height, video_memory_.size());
  for (uint64_t page = 0; page << kPageShift < size; ++page) memory_.note_write(video_memory_, page);
  std::memset(video_memory_.data(), 0, size);
}

void Vga::serialize(StateArchive& archive) {
  archive.section("vga", 1);
  VgaState& s = state_;
  archive.fields(s.misc, s.feature, s.sequencer_index, s.graphics_index, s.crtc_index, s.attribute_index);
  archive.fields(s.sequencer, s.graphics, s.crtc, s.attribute, s.dac, s.dac_mask, s.vbe_index, s.vbe,
                 s.latch);
  archive.fields(attribute_data_next_, dac_read_index_, dac_write_index_, dac_component_, dac_state_,
                 dac_pending_);
  if (!archive.loading()) return;
  if (s.sequencer_index >= VgaState::kSequencerCount || s.graphics_index >= VgaState::kGraphicsCount ||
      dac_component_ >= 3) {
    archive.reject("a VGA register that does not exist");
    reset();
  }
}

}  // namespace vitrine::devices
