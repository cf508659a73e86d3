// The XSAVE area. SDM Vol. 1, "Managing State Using the XSAVE Feature Set"; SDM Vol. 2D, "XSAVE", "XSAVEOPT",
// "XRSTOR". A component is in use (XINUSE) exactly when it differs from its initial configuration.
#include "cpu/extended_state.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "cpu/access.h"
#include "cpu/floating_point_image.h"
#include "cpu/fpu_state.h"
#include "cpu/host_unit.h"
#include "x86/extended_state.h"

namespace vitrine::cpu {
namespace {

using x86::kXstateAvx;
using x86::kXstateSse;
using x86::kXstateX87;
using x86::Vector;

constexpr uint32_t kMxcsrAt = 24, kMxcsrBytes = 8;  // with MXCSR_MASK
constexpr uint32_t kX87At = 32, kX87Bytes = 128;
constexpr uint32_t kXmmAt = 160, kXmmBytes = 128;
constexpr uint32_t kYmmBytes = 128;
constexpr uint32_t kPiece = 8;  // every part of the area is a multiple
using Piece = uint64_t;

struct Area {
  uint64_t requested = 0;  ///< RFBM: the instruction's mask as far as XCR0 has it.
  uint32_t linear = 0;
};

/// What the three instructions have in common before they access memory.
template <Access kind>
bool begin_area(Core& core, const Instruction& i, Area& area) {
  const CpuState& state = core.state;
  if ((state.cr4 & x86::kCr4Osxsave) == 0) return core.raise(Vector::InvalidOpcode);
  if ((state.cr0 & x86::kCr0Ts) != 0) return core.raise(Vector::DeviceNotAvailable);
  fpu_leave(core);
  area.requested = (uint64_t{state.gpr[x86::kEdx]} << 32 | state.gpr[x86::kEax]) & state.xcr0;
  const uint32_t size = x86::xsave_size(area.requested);
  if (!linearise<kind>(core, i.segment, effective_offset(core, i), size, area.linear)) return false;
  if (area.linear % x86::kXsaveAlignment != 0) return core.raise(Vector::GeneralProtection);
  // All of it must be there; it reaches into two pages at most.
  for (const uint32_t at : {area.linear, area.linear + size - 1}) {
    uint8_t byte = 0;
    if (kind == Access::Write ? !probe_write(core, at, 1, current_privilege(core))
                              : !load_linear(core, at, byte))
      return false;
  }
  return true;
}

bool store_part(Core& core, uint32_t linear, std::span<const uint8_t> bytes) {
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    Piece piece = 0;
    std::memcpy(&piece, bytes.data() + at, kPiece);
    if (!store_linear(core, linear + static_cast<uint32_t>(at), piece)) return false;
  }
  return true;
}

bool load_part(Core& core, uint32_t linear, std::span<uint8_t> bytes) {
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    Piece piece = 0;
    if (!load_linear(core, linear + static_cast<uint32_t>(at), piece)) return false;
    std::memcpy(bytes.data() + at, &piece, kPiece);
  }
  return true;
}

template <typename Registers>
bool all_zero(const Registers& registers) {
  return registers == Registers{};
}

bool x87_is_initial(const FloatingPointState& fpu) {
  return fpu.control == 0x37f && fpu.status == 0 && fpu.tag == 0xffff && fpu.opcode == 0 &&
         fpu.instruction_pointer == 0 && fpu.instruction_segment == 0 && fpu.data_pointer == 0 &&
         fpu.data_segment == 0 && all_zero(fpu.registers);
}

/// XINUSE. MXCSR counts as part of the SSE state here: what is saved must bring it back.
uint64_t in_use(const FloatingPointState& fpu) {
  uint64_t components = 0;
  if (!x87_is_initial(fpu)) components |= kXstateX87;
  if (!all_zero(fpu.xmm) || fpu.mxcsr != kMxcsrDefault) components |= kXstateSse;
  if (!all_zero(fpu.ymm_high)) components |= kXstateAvx;
  return components;
}

/// Writes the components in `stored`. MXCSR goes with SSE and AVX alike, whatever is in use.
bool store_components(Core& core, const Area& area, uint64_t stored) {
  FloatingPointState& fpu = core.state.fpu;
  const auto part = [&](uint32_t at, std::span<const uint8_t> bytes) {
    return store_part(core, area.linear + at, bytes);
  };
  std::array<uint8_t, kXmmAt> legacy{};
  put_x87_image(fpu, legacy);
  put_mxcsr_image(core, legacy);
  const std::span image(legacy);
  if ((stored & kXstateX87) != 0 &&
      !(part(0, image.first(kMxcsrAt)) && part(kX87At, image.subspan(kX87At, kX87Bytes))))
    return false;
  if ((area.requested & (kXstateSse | kXstateAvx)) != 0 &&
      !part(kMxcsrAt, image.subspan(kMxcsrAt, kMxcsrBytes)))
    return false;
  if ((stored & kXstateSse) != 0 && !part(kXmmAt, {fpu.xmm.front().data(), kXmmBytes})) return false;
  return (stored & kXstateAvx) == 0 || part(x86::kXsaveAvx, {fpu.ymm_high.front().data(), kYmmBytes});
}

enum class Save : uint8_t { All, InUse };

template <Save what>
bool save_area(Core& core, const Instruction& i) {
  Area area;
  if (!begin_area<Access::Write>(core, i, area)) return false;
  normalise_x87(core.state.fpu);
  uint64_t present = 0;
  if (!load_linear(core, area.linear + x86::kXsaveHeader, present)) return false;
  const uint64_t used = in_use(core.state.fpu) & area.requested;
  if (!store_components(core, area, what == Save::All ? area.requested : used)) return false;
  present = (present & ~area.requested) | used;
  return store_linear(core, area.linear + x86::kXsaveHeader, present);
}

/// Everything is read and checked before anything changes.
struct Image {
  std::array<uint8_t, x86::kXsaveHeader> legacy{};
  std::array<uint64_t, 3> header{};  ///< XSTATE_BV, XCOMP_BV, reserved.
  std::array<uint8_t, kYmmBytes> ymm_high{};
};

bool load_image(Core& core, const Area& area, Image& image) {
  const auto bytes = [](auto& array) {
    return std::span(reinterpret_cast<uint8_t*>(array.data()), sizeof array);
  };
  if (!load_part(core, area.linear + x86::kXsaveHeader, bytes(image.header))) return false;
  // SDM Vol. 1, "Standard Form of XRSTOR": without the compacted format these bytes must be zero.
  if ((image.header[0] & ~core.state.xcr0) != 0 || image.header[1] != 0 || image.header[2] != 0)
    return core.raise(Vector::GeneralProtection);
  const uint64_t loaded = area.requested & image.header[0];
  const std::span<uint8_t> legacy(image.legacy);
  if (!load_part(core, area.linear, legacy.first(kXmmAt + kXmmBytes))) return false;
  return (loaded & kXstateAvx) == 0 || load_part(core, area.linear + x86::kXsaveAvx, bytes(image.ymm_high));
}

}  // namespace

bool xsave(Core& core, const Instruction& i) {
  return save_area<Save::All>(core, i);
}
bool xsaveopt(Core& core, const Instruction& i) {
  return save_area<Save::InUse>(core, i);
}

bool xrstor(Core& core, const Instruction& i) {
  Area area;
  Image image;
  if (!begin_area<Access::Read>(core, i, area) || !load_image(core, area, image)) return false;
  FloatingPointState& fpu = core.state.fpu;
  const uint64_t present = image.header[0];
  if ((area.requested & (kXstateSse | kXstateAvx)) != 0) {
    uint32_t mxcsr = 0;
    std::memcpy(&mxcsr, image.legacy.data() + kMxcsrAt, sizeof mxcsr);
    if ((mxcsr & ~host_unit(core).mxcsr_mask) != 0) return core.raise(Vector::GeneralProtection);
    fpu.mxcsr = mxcsr;
  }
  if ((area.requested & kXstateX87) != 0) {
    if ((present & kXstateX87) != 0) {
      take_x87_image(fpu, image.legacy);
    } else {
      reset_x87(fpu);
      fpu.registers = {};
    }
    update_ferr(core);
  }
  if ((area.requested & kXstateSse) != 0) {
    fpu.xmm = {};
    if ((present & kXstateSse) != 0) std::memcpy(fpu.xmm.data(), image.legacy.data() + kXmmAt, kXmmBytes);
  }
  if ((area.requested & kXstateAvx) != 0) {
    fpu.ymm_high = {};
    if ((present & kXstateAvx) != 0) std::memcpy(fpu.ymm_high.data(), image.ymm_high.data(), kYmmBytes);
  }
  return true;
}

}  // namespace vitrine::cpu
