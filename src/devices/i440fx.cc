#include "devices/i440fx.h"

#include <algorithm>

#include "base/check.h"
#include "devices/map_priorities.h"

namespace vitrine::devices {
namespace {

constexpr unsigned kMemorySize8M = 0x57;
constexpr unsigned kPam0 = 0x59;
constexpr unsigned kDrb0 = 0x60;
constexpr unsigned kSmram = 0x72;

constexpr uint8_t kPamRead = 1;
constexpr uint8_t kPamWrite = 2;

// 82441FX, "SMRAM—System Management RAM Control Register".
constexpr uint8_t kSmramOpen = 0x40;
constexpr uint8_t kSmramClosed = 0x20;
constexpr uint8_t kSmramLock = 0x10;
constexpr uint8_t kSmramEnable = 0x08;
constexpr uint8_t kSmramBaseSegment = 0x02;
constexpr uint8_t kSmramWritable = kSmramOpen | kSmramClosed | kSmramLock | kSmramEnable;

constexpr uint64_t kSmramStart = 0xa0000;
constexpr uint64_t kSmramSize = 0x20000;
constexpr uint64_t kFourGiB = uint64_t{1} << 32;
// As QEMU's `pc` divides RAM: all of it below the PCI hole if it fits under 3.5 GiB, else 3 GiB of it.
constexpr uint64_t kMaxBelow4G = 0xe0000000;
constexpr uint64_t kSplitBelow4G = 0xc0000000;

struct SegmentRange {
  uint64_t start;
  uint64_t size;
};

// Segment 0 is PAM0's F0000–FFFFF, then PAM1–PAM6's 16 KiB pieces from C0000 up.
constexpr SegmentRange segment_range(unsigned segment) {
  if (segment == 0) return {0xf0000, 0x10000};
  return {0xc0000 + (segment - 1) * uint64_t{0x4000}, 0x4000};
}

}  // namespace

I440fx::I440fx(memory::PhysicalMap& memory, memory::RamBlock& ram, memory::RamBlock& legacy_rom)
    : PciDevice({.vendor = 0x8086,
                 .device = 0x1237,
                 .class_code = 0x060000,
                 .revision = 2,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100}),
      memory_(memory),
      ram_(ram),
      legacy_rom_(legacy_rom),
      below_4g_(ram.size() < kMaxBelow4G ? ram.size() : kSplitBelow4G) {
  CHECK(ram.size() >= 0x100000 && legacy_rom.size() == kLegacyRomSize);
  // The data sheet's defaults: memory and master are always enabled, medium DEVSEL# timing, fast
  // back-to-back.
  set_config16(pci::kCommand, pci::kCommandMemory | pci::kCommandMaster);
  set_write_mask16(pci::kCommand, pci::kCommandSerr | pci::kCommandParity);
  set_config16(pci::kStatus, 0x0280);
  const auto units = static_cast<uint8_t>(std::min<uint64_t>(ram.size() >> 23, 255));
  set_config8(kMemorySize8M, units);
  for (unsigned i = 0; i < 8; ++i) set_config8(kDrb0 + i, units);
  set_write_mask8(kPam0, 0x30);
  for (unsigned i = 1; i < 7; ++i) set_write_mask8(kPam0 + i, 0x33);
  set_config8(kSmram, kSmramBaseSegment);
  set_write_mask8(kSmram, kSmramWritable);

  low_ram_ = memory_.add(memory::Placement::ram(PhysicalAddress(0), below_4g_, ram_, 0, kPriorityRam));
  if (above_4g() != 0) {
    high_ram_ = memory_.add(
        memory::Placement::ram(PhysicalAddress(kFourGiB), above_4g(), ram_, below_4g_, kPriorityRam));
  }
  hole_ = memory_.add(nothing(kSmramStart, kSmramSize, kPriorityHole));
  for (unsigned i = 0; i < kSegments; ++i) segments_[i].placed = memory_.add(segment_placement(i, 0));
}

I440fx::~I440fx() {
  if (open_smram_ != 0) memory_.remove(open_smram_);
  for (const Segment& segment : segments_) memory_.remove(segment.placed);
  memory_.remove(hole_);
  if (high_ram_ != 0) memory_.remove(high_ram_);
  memory_.remove(low_ram_);
}

memory::Placement I440fx::nothing(uint64_t start, uint64_t size, int priority) {
  memory::Placement placement;
  placement.start = PhysicalAddress(start);
  placement.size = size;
  placement.priority = priority;
  return placement;
}

memory::Placement I440fx::segment_placement(unsigned segment, uint8_t attributes) const {
  const auto [start, size] = segment_range(segment);
  memory::Placement placement = nothing(start, size, kPriorityBridge);
  if ((attributes & kPamRead) != 0) {
    placement.read_block = &ram_;
    placement.read_offset = start;
  } else {
    placement.read_block = &legacy_rom_;
    placement.read_offset = start - kLegacyRomStart;
  }
  // Writes that go to PCI meet ROM there and are lost.
  if ((attributes & kPamWrite) != 0) {
    placement.write_block = &ram_;
    placement.write_offset = start;
  }
  return placement;
}

// 82441FX, "PAM—Programmable Attribute Map Registers": two segments a register, the lower address in the
// lower nibble; PAM0 has only the upper one.
uint8_t I440fx::segment_attributes(unsigned segment) const {
  const uint8_t pam = config8(kPam0 + (segment + 1) / 2);
  return (segment % 2 == 0 ? pam >> 4 : pam) & (kPamRead | kPamWrite);
}

void I440fx::update_segments() {
  for (unsigned i = 0; i < kSegments; ++i) {
    const uint8_t attributes = segment_attributes(i);
    if (attributes == segments_[i].attributes) continue;
    segments_[i].attributes = attributes;
    memory_.replace(segments_[i].placed, segment_placement(i, attributes));
  }
}

void I440fx::update_smram() {
  uint8_t smram = config8(kSmram);
  if ((smram & kSmramLock) != 0) {
    // Locking closes SMRAM, and nothing but reset opens it again.
    smram &= static_cast<uint8_t>(~kSmramOpen);
    set_config8(kSmram, smram);
    set_write_mask8(kSmram, kSmramClosed);
  } else {
    set_write_mask8(kSmram, kSmramWritable);
  }
  const bool open = (smram & kSmramOpen) != 0;
  if (open == (open_smram_ != 0)) return;
  if (open) {
    open_smram_ = memory_.add(
        memory::Placement::ram(PhysicalAddress(kSmramStart), kSmramSize, ram_, kSmramStart, kPriorityBridge));
  } else {
    memory_.remove(open_smram_);
    open_smram_ = 0;
  }
}

void I440fx::config_written(unsigned, unsigned) {
  update_segments();
  update_smram();
}

void I440fx::reset_device() {
  for (unsigned i = 0; i < 7; ++i) set_config8(kPam0 + i, 0);
  set_config8(kSmram, kSmramBaseSegment);
  update_segments();
  update_smram();
}

void I440fx::serialize_device(StateArchive& archive) {
  archive.section("i440fx", 1);
  // Saved apart from the header: whether it is writable now depends on its own lock bit.
  uint8_t smram = config8(kSmram);
  archive.field(smram);
  set_config8(kSmram, static_cast<uint8_t>((smram & kSmramWritable) | kSmramBaseSegment));
  update_segments();
  update_smram();
}

}  // namespace vitrine::devices
