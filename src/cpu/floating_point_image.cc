// The x87 environment, the FSAVE image and the FXSAVE image. SDM Vol. 1, "Saving the x87 FPU's State…" (four
// formats of the environment), "FXSAVE Area".
#include "cpu/floating_point_image.h"

#include <cstring>
#include <span>

#include "cpu/access.h"
#include "cpu/fpu_state.h"
#include "cpu/fxsave64_image.h"
#include "cpu/host_unit.h"

namespace vitrine::cpu {
namespace {

using x86::Vector;

constexpr unsigned kRegisterBytes = 80;  // eight registers of ten bytes

/// The environment as seven numbers, each 16 or 32 bits wide in memory.
using Environment = std::array<uint32_t, 7>;

bool real_format(const Core& core) {
  return !core.protected_mode();
}

uint32_t linear_pointer(uint16_t segment, uint32_t offset) {
  return (uint32_t{segment} << 4) + offset;
}

// In the 32-bit formats the unused upper halves are stored as ones, as processors do; the manual calls them
// reserved.
Environment environment_of(const Core& core, unsigned width) {
  const FloatingPointState& fpu = core.state.fpu;
  const uint32_t fill = width == 4 ? 0xffff0000 : 0;
  Environment e = {fpu.control | fill, fpu.status | fill, fpu.tag | fill, 0, 0, 0, 0};
  if (!real_format(core)) {
    e[3] = fpu.instruction_pointer;
    e[4] = fpu.instruction_segment | uint32_t{fpu.opcode} << 16;
    e[5] = fpu.data_pointer;
    e[6] = fpu.data_segment | fill;
    return e;
  }
  const uint32_t code = linear_pointer(fpu.instruction_segment, fpu.instruction_pointer);
  const uint32_t data = linear_pointer(fpu.data_segment, fpu.data_pointer);
  e[3] = (code & 0xffff) | fill;
  e[4] = (code >> 16 << 12 & 0x0ffff000) | fpu.opcode;
  e[5] = (data & 0xffff) | fill;
  e[6] = data >> 16 << 12 & 0x0ffff000;
  return e;
}

void set_environment(Core& core, const Environment& e, unsigned width) {
  FloatingPointState& fpu = core.state.fpu;
  fpu.control = static_cast<uint16_t>(e[0]);
  fpu.status = static_cast<uint16_t>(e[1]);
  fpu.tag = static_cast<uint16_t>(e[2]);
  if (!real_format(core)) {
    fpu.instruction_pointer = e[3];
    fpu.instruction_segment = static_cast<uint16_t>(e[4]);
    if (width == 4) fpu.opcode = static_cast<uint16_t>(e[4] >> 16 & 0x7ff);
    fpu.data_pointer = e[5];
    fpu.data_segment = static_cast<uint16_t>(e[6]);
  } else {
    fpu.instruction_pointer = (e[3] & 0xffff) | (e[4] >> 12 & 0xffff) << 16;
    fpu.instruction_segment = 0;
    fpu.opcode = static_cast<uint16_t>(e[4] & 0x7ff);
    fpu.data_pointer = (e[5] & 0xffff) | (e[6] >> 12 & 0xffff) << 16;
    fpu.data_segment = 0;
  }
  normalise_x87(fpu);
}

void put(std::span<uint8_t> bytes, size_t at, uint32_t value, unsigned width) {
  std::memcpy(bytes.data() + at, &value, width);
}
uint32_t get(std::span<const uint8_t> bytes, size_t at, unsigned width) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, width);
  return value;
}

// The images are accessed in pieces, after a check of the whole. Page faults name the first piece or the last
// byte, as on processors.
constexpr unsigned kPiece = 2;
unsigned first_piece(size_t size) {
  return size == 14 || size == 94 ? 2 : 4;
}

/// Reads a memory operand of any size; nothing has changed when it fails.
bool load_bytes(Core& core, const Instruction& i, std::span<uint8_t> bytes) {
  uint32_t linear = 0;
  uint8_t byte = 0;
  const auto size = static_cast<unsigned>(bytes.size());
  if (!linearise<Access::Read>(core, i.segment, effective_offset(core, i), size, linear)) return false;
  if (!load_slow(core, linear, first_piece(size), current_privilege(core))) return false;
  if (!load_linear(core, linear + size - 1, byte)) return false;
  for (unsigned at = 0; at < size; at += kPiece) {
    uint16_t piece = 0;
    if (!load_linear(core, linear + at, piece)) return false;
    std::memcpy(bytes.data() + at, &piece, kPiece);
  }
  return true;
}

bool store_bytes(Core& core, const Instruction& i, std::span<const uint8_t> bytes) {
  uint32_t linear = 0;
  const auto size = static_cast<unsigned>(bytes.size());
  if (!linearise<Access::Write>(core, i.segment, effective_offset(core, i), size, linear)) return false;
  if (!probe_write(core, linear, first_piece(size), current_privilege(core))) return false;
  if (!probe_write(core, linear + size - 1, 1, current_privilege(core))) return false;
  for (unsigned at = 0; at < size; at += kPiece) {
    uint16_t piece = 0;
    std::memcpy(&piece, bytes.data() + at, kPiece);
    if (!store_linear(core, linear + at, piece)) return false;
  }
  return true;
}

/// FNSTENV and FNSAVE do not wait. The state is in core.state.fpu afterwards.
bool begin_save(Core& core) {
  if ((core.state.cr0 & (x86::kCr0Em | x86::kCr0Ts)) != 0) return core.raise(Vector::DeviceNotAvailable);
  fpu_leave(core);
  normalise_x87(core.state.fpu);
  return true;
}

/// FLDENV and FRSTOR wait.
bool begin_restore(Core& core) {
  if (!x87_begin(core)) return false;
  fpu_leave(core);
  return true;
}

/// The operand is 14 or 28 bytes long (FSAVE: 94 or 108), by the operand size.
unsigned environment_width(const Instruction& i) {
  return i.operand_size == 28 || i.operand_size == 108 ? 4 : 2;
}

void put_environment(const Core& core, std::span<uint8_t> image, unsigned width) {
  const Environment e = environment_of(core, width);
  for (unsigned n = 0; n < e.size(); ++n) put(image, n * width, e[n], width);
}
void take_environment(Core& core, std::span<const uint8_t> image, unsigned width) {
  Environment e{};
  for (unsigned n = 0; n < e.size(); ++n) e[n] = get(image, n * width, width);
  set_environment(core, e, width);
}

}  // namespace

bool fnstenv(Core& core, const Instruction& i) {
  if (!begin_save(core)) return false;
  const unsigned width = environment_width(i);
  std::array<uint8_t, 28> image{};
  put_environment(core, image, width);
  if (!store_bytes(core, i, std::span(image).first(7 * width))) return false;
  core.state.fpu.control |= kX87ControlMasks;
  normalise_x87(core.state.fpu);
  update_ferr(core);
  return true;
}

bool fldenv(Core& core, const Instruction& i) {
  if (!begin_restore(core)) return false;
  const unsigned width = environment_width(i);
  std::array<uint8_t, 28> image{};
  if (!load_bytes(core, i, std::span(image).first(7 * width))) return false;
  take_environment(core, image, width);
  update_ferr(core);
  return true;
}

bool fnsave(Core& core, const Instruction& i) {
  if (!begin_save(core)) return false;
  const unsigned width = environment_width(i);
  std::array<uint8_t, 28 + kRegisterBytes> image{};
  put_environment(core, image, width);
  for (unsigned n = 0; n < 8; ++n)
    std::memcpy(image.data() + 7 * width + 10 * n, stack_register(core.state.fpu, n).data(), 10);
  if (!store_bytes(core, i, std::span(image).first(7 * width + kRegisterBytes))) return false;
  reset_x87(core.state.fpu);
  update_ferr(core);
  return true;
}

bool frstor(Core& core, const Instruction& i) {
  if (!begin_restore(core)) return false;
  const unsigned width = environment_width(i);
  std::array<uint8_t, 28 + kRegisterBytes> image{};
  if (!load_bytes(core, i, std::span(image).first(7 * width + kRegisterBytes))) return false;
  take_environment(core, image, width);
  for (unsigned n = 0; n < 8; ++n)
    std::memcpy(stack_register(core.state.fpu, n).data(), image.data() + 7 * width + 10 * n, 10);
  normalise_x87(core.state.fpu);
  update_ferr(core);
  return true;
}

// FXSAVE, FXRSTOR.

namespace {

constexpr unsigned kImageSize = 512;
constexpr size_t kWritten = kFxsaveXmm + 8 * 16;  ///< What is behind belongs to 64-bit mode or to software.

// #NM for EM and TS alike; 16-byte alignment. SDM Vol. 2A, "FXSAVE—Save x87 FPU, MMX Technology, and SSE
// State".
template <Access kind>
bool begin_image(Core& core, const Instruction& i) {
  if ((core.state.cr0 & (x86::kCr0Em | x86::kCr0Ts)) != 0) return core.raise(Vector::DeviceNotAvailable);
  fpu_leave(core);
  uint32_t linear = 0;
  if (!linearise<kind>(core, i.segment, effective_offset(core, i), kImageSize, linear)) return false;
  if ((linear & 15) != 0) return core.raise(Vector::GeneralProtection);
  // All of the 512 bytes must be there; the last is asked for first.
  const uint32_t last = linear + (kImageSize - 1);
  uint8_t byte = 0;
  if (kind == Access::Write) return probe_write(core, last, 1, current_privilege(core));
  return load_linear(core, last, byte);
}

// With OSFXSR clear XMM registers and MXCSR may stay out of the image; they do.
bool saves_sse(const Core& core) {
  return core.env.model.has(Feature::Sse) && (core.state.cr4 & x86::kCr4Osfxsr) != 0;
}

}  // namespace

void put_x87_image(FloatingPointState& fpu, std::span<uint8_t> image) {
  normalise_x87(fpu);
  put(image, 0, fpu.control, 2);
  put(image, 2, fpu.status, 2);
  put(image, 4, abridged_tags(fpu), 1);
  put(image, 6, fpu.opcode, 2);
  put(image, 8, fpu.instruction_pointer, 4);
  put(image, 12, fpu.instruction_segment, 2);
  put(image, 16, fpu.data_pointer, 4);
  put(image, 20, fpu.data_segment, 2);
  put_stack(fpu, image.data());
}

void put_mxcsr_image(Core& core, std::span<uint8_t> image) {
  put(image, 24, core.state.fpu.mxcsr, 4);
  put(image, 28, host_unit(core).mxcsr_mask, 4);
}

void take_x87_image(FloatingPointState& fpu, std::span<const uint8_t> image) {
  fpu.control = static_cast<uint16_t>(get(image, 0, 2));
  fpu.status = static_cast<uint16_t>(get(image, 2, 2));
  fpu.opcode = static_cast<uint16_t>(get(image, 6, 2));
  fpu.instruction_pointer = get(image, 8, 4);
  fpu.instruction_segment = static_cast<uint16_t>(get(image, 12, 2));
  fpu.data_pointer = get(image, 16, 4);
  fpu.data_segment = static_cast<uint16_t>(get(image, 20, 2));
  take_stack(image.data(), fpu);
  set_tags(fpu, static_cast<uint8_t>(get(image, 4, 1)));
  normalise_x87(fpu);
}

bool fxsave(Core& core, const Instruction& i) {
  if (!begin_image<Access::Write>(core, i)) return false;
  std::array<uint8_t, kWritten> image{};
  put_x87_image(core.state.fpu, image);
  if (core.env.model.has(Feature::Sse)) put_mxcsr_image(core, image);
  std::memcpy(image.data() + kFxsaveXmm, core.state.fpu.xmm.data(), sizeof core.state.fpu.xmm);
  return store_bytes(core, i, std::span(image).first(saves_sse(core) ? kWritten : kFxsaveXmm));
}

bool fxrstor(Core& core, const Instruction& i) {
  if (!begin_image<Access::Read>(core, i)) return false;
  std::array<uint8_t, kImageSize> image{};
  if (!load_bytes(core, i, image)) return false;
  FloatingPointState& fpu = core.state.fpu;
  if (saves_sse(core)) {
    const uint32_t mxcsr = get(image, 24, 4);
    if ((mxcsr & ~host_unit(core).mxcsr_mask) != 0) return core.raise(Vector::GeneralProtection);
    fpu.mxcsr = mxcsr;
    std::memcpy(fpu.xmm.data(), image.data() + kFxsaveXmm, sizeof fpu.xmm);
  }
  take_x87_image(fpu, image);
  update_ferr(core);
  return true;
}

}  // namespace vitrine::cpu
