// The data path of the VGA between the processor's window and the four planes.
//
//     processor byte ─► rotate ─► set/reset or plane expansion ─► AND/OR/XOR with latches ─► bit mask ─► map
//     mask ─► planes processor byte ◄─ one plane, or colour compare ◄─────────────────── latches
//     ◄───────────────────────────────── planes
//
// IBM, "Video Subsystem", "Graphics Controller": write modes 0–3, read modes 0–1.
#include <cstring>

#include "devices/vga.h"

namespace vitrine::devices {
namespace {

enum Graphics : unsigned {
  kSetReset = 0,
  kEnableSetReset = 1,
  kColourCompare = 2,
  kRotate = 3,
  kReadMap = 4,
  kMode = 5,
  kMiscellaneous = 6,
  kColourDontCare = 7,
  kBitMask = 8,
};

constexpr uint8_t kSequencerChain4 = 0x08;
constexpr uint8_t kSequencerNotOddEven = 0x04;
constexpr uint8_t kModeReadCompare = 0x08;
constexpr uint8_t kModeOddEven = 0x10;
constexpr uint8_t kMiscRamEnable = 0x02;
constexpr uint64_t kNowhere = ~uint64_t{0};

// Bit p of `planes` becomes eight bits in byte p.
uint32_t expand(unsigned planes) {
  uint32_t value = 0;
  for (unsigned plane = 0; plane < 4; ++plane) {
    if ((planes >> plane & 1) != 0) value |= 0xffu << (8 * plane);
  }
  return value;
}

uint32_t in_all_planes(uint8_t byte) {
  return byte * 0x01010101u;
}

}  // namespace

uint64_t Vga::window_address(uint64_t offset) const {
  if ((state_.misc & kMiscRamEnable) == 0) return kNowhere;
  switch (state_.graphics[kMiscellaneous] >> 2 & 3) {
    case 0: return offset;
    case 1: return offset < 0x10000 ? offset : kNowhere;
    case 2: return offset >= 0x10000 && offset < 0x18000 ? offset - 0x10000 : kNowhere;
    default: return offset >= 0x18000 ? offset - 0x18000 : kNowhere;
  }
}

uint64_t Vga::bank_offset() const {
  return state_.vbe_enabled() ? uint64_t{state_.vbe[kVbeBank]} << 16 : 0;
}

// The dword of the frame buffer that holds a plane address in all planes. Without the Bochs interface there
// are 64 KiB in a plane.
uint64_t Vga::plane_index(uint64_t address) const {
  if (!state_.vbe_enabled()) return (address & 0xffff) * 4;
  return ((address + bank_offset()) * 4) & (video_memory_.size() - 1);
}

uint32_t Vga::load(uint64_t index) const {
  uint32_t value = 0;
  std::memcpy(&value, video_memory_.data() + index, 4);
  return value;
}

void Vga::store(uint64_t index, uint32_t value, uint32_t plane_mask) {
  memory_.note_write(video_memory_, index >> kPageShift);
  const uint32_t merged = (load(index) & ~plane_mask) | (value & plane_mask);
  std::memcpy(video_memory_.data() + index, &merged, 4);
}

uint64_t Vga::read_memory(uint64_t offset, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= uint64_t{read_byte(offset + i)} << (8 * i);
  return value;
}

void Vga::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  for (unsigned i = 0; i < size; ++i) write_byte(offset + i, static_cast<uint8_t>(value >> (8 * i)));
}

uint8_t Vga::read_byte(uint64_t offset) {
  uint64_t address = window_address(offset);
  if (address == kNowhere) return 0xff;
  if (state_.linear()) return video_memory_.data()[(address + bank_offset()) & (video_memory_.size() - 1)];

  const uint8_t mode = state_.graphics[kMode];
  unsigned plane = state_.graphics[kReadMap] & 3;
  if ((state_.sequencer[4] & kSequencerChain4) != 0) {
    plane = address & 3;
    address &= ~uint64_t{3};
  } else if ((mode & kModeOddEven) != 0) {
    plane = (plane & 2) | (address & 1);
    address &= ~uint64_t{1};
  }
  state_.latch = load(plane_index(address));
  if ((mode & kModeReadCompare) == 0) return static_cast<uint8_t>(state_.latch >> (8 * plane));

  // Read mode 1: a bit is set where the planes that matter hold the colour.
  const uint32_t differs =
      (state_.latch ^ expand(state_.graphics[kColourCompare])) & expand(state_.graphics[kColourDontCare]);
  return static_cast<uint8_t>(~(differs | differs >> 8 | differs >> 16 | differs >> 24));
}

void Vga::write_byte(uint64_t offset, uint8_t value) {
  uint64_t address = window_address(offset);
  if (address == kNowhere) return;
  if (state_.linear()) {
    const uint64_t index = (address + bank_offset()) & (video_memory_.size() - 1);
    memory_.note_write(video_memory_, index >> kPageShift);
    video_memory_.data()[index] = value;
    return;
  }
  unsigned planes = state_.sequencer[2] & 0x0f;
  if ((state_.sequencer[4] & kSequencerChain4) != 0) {
    planes &= 1u << (address & 3);
    address &= ~uint64_t{3};
  } else if ((state_.sequencer[4] & kSequencerNotOddEven) == 0) {
    planes &= (address & 1) != 0 ? 0x0a : 0x05;
    address &= ~uint64_t{1};
  }
  if (planes != 0) store(plane_index(address), pipeline(value), expand(planes));
}

// What the four planes would become at the address that a byte is written to.
uint32_t Vga::pipeline(uint8_t value) const {
  const auto& graphics = state_.graphics;
  const unsigned write_mode = graphics[kMode] & 3;
  if (write_mode == 1) return state_.latch;

  const unsigned rotation = graphics[kRotate] & 7;
  const auto rotated = static_cast<uint8_t>(value >> rotation | value << (8 - rotation));
  uint8_t bit_mask = graphics[kBitMask];
  uint32_t data = 0;
  if (write_mode == 0) {
    const uint32_t set_reset = expand(graphics[kSetReset]);
    const uint32_t enabled = expand(graphics[kEnableSetReset]);
    data = (in_all_planes(rotated) & ~enabled) | (set_reset & enabled);
  } else if (write_mode == 2) {
    data = expand(value & 0x0f);
  } else {
    data = expand(graphics[kSetReset]);
    bit_mask &= rotated;
  }
  switch (graphics[kRotate] >> 3 & 3) {
    case 1: data &= state_.latch; break;
    case 2: data |= state_.latch; break;
    case 3: data ^= state_.latch; break;
    default: break;
  }
  const uint32_t mask = in_all_planes(bit_mask);
  return (data & mask) | (state_.latch & ~mask);
}

}  // namespace vitrine::devices
