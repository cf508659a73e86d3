// Moving the x87 state between core.state.fpu and the host's unit, and the two ways of reporting x87 errors.
// See host_unit.h.
#include "cpu/host_unit.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "cpu/access.h"
#include "cpu/block_flow.h"
#include "cpu/fpu_state.h"
#include "cpu/fxsave64_image.h"
#include "cpu/native_engine.h"

namespace vitrine::cpu {
namespace {

// SAFETY: these two clobber all x87 and XMM registers and MXCSR; the callers are never inlined, so the
// compiler expects that of the XMM registers at their call, and nothing of ours lives in x87 registers. MXCSR
// is put back.
void save_image(uint8_t* image) {
  asm volatile("fxsave64 %0" : "=m"(*reinterpret_cast<uint8_t(*)[512]>(image)));
}
void restore_image(const uint8_t* image) {
  asm volatile("fxrstor64 %0"
               :
               : "m"(*reinterpret_cast<const uint8_t(*)[512]>(image))
               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                 "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

uint32_t host_mxcsr() {
  uint32_t value = 0;
  asm volatile("stmxcsr %0" : "=m"(value));
  return value;
}

// Full tag of a register that is not empty. SDM Vol. 1, "x87 FPU Tag Word".
uint16_t tag_of_contents(const uint8_t* bytes) {
  uint64_t significand = 0;
  uint16_t exponent = 0;
  std::memcpy(&significand, bytes, 8);
  std::memcpy(&exponent, bytes + 8, 2);
  exponent &= 0x7fff;
  if (exponent == 0 && significand == 0) return 1;
  if (exponent == 0 || exponent == 0x7fff || significand >> 63 == 0) return 2;
  return 0;
}

// Misaligned mode (AMD64 Architecture Programmer's Manual Vol. 1, "MXCSR Register"), which no model has.
constexpr uint32_t kMxcsrMisaligned = 1 << 17;

uint32_t model_mxcsr_mask(const Core& core) {
  uint32_t mask = host_mxcsr_mask() & ~kMxcsrMisaligned;
  if (!core.env.model.has(Feature::Sse2)) mask &= 0xffbf;  // no denormals-are-zeros
  return mask;
}

}  // namespace

void HostUnitDeleter::operator()(HostUnit* unit) const {
  delete unit;
}

uint32_t host_mxcsr_mask() {
  alignas(16) uint8_t image[512] = {};
  save_image(image);
  uint32_t mask = 0;
  std::memcpy(&mask, image + 28, 4);
  return mask == 0 ? 0xffbf : mask;
}

HostUnit& host_unit(Core& core) {
  if (core.host_unit == nullptr) {
    Result<HostCode> code = HostCode::create();
    CHECK(code.has_value(), "{}", code.error().message());
    core.host_unit.reset(new HostUnit(std::move(*code)));
    core.host_unit->mxcsr_mask = model_mxcsr_mask(core);
  }
  return *core.host_unit;
}

void reset_x87(FloatingPointState& fpu) {
  fpu.control = 0x37f;
  fpu.status = 0;
  fpu.tag = 0xffff;
  fpu.opcode = 0;
  fpu.instruction_pointer = 0;
  fpu.instruction_segment = 0;
  fpu.data_pointer = 0;
  fpu.data_segment = 0;
}

uint8_t abridged_tags(const FloatingPointState& fpu) {
  uint8_t tags = 0;
  for (unsigned r = 0; r < 8; ++r)
    if ((fpu.tag >> 2 * r & 3) != 3) tags |= static_cast<uint8_t>(1u << r);
  return tags;
}

void set_tags(FloatingPointState& fpu, uint8_t abridged) {
  fpu.tag = 0;
  for (unsigned r = 0; r < 8; ++r) {
    const unsigned tag = (abridged >> r & 1) != 0 ? tag_of_contents(fpu.registers[r].data()) : 3;
    fpu.tag = static_cast<uint16_t>(fpu.tag | tag << 2 * r);
  }
}

void normalise_x87(FloatingPointState& fpu) {
  fpu.control = static_cast<uint16_t>((fpu.control & 0x1f7f) | 0x40);
  fpu.status &= static_cast<uint16_t>(~(kX87Summary | kX87Busy));
  if ((fpu.status & ~fpu.control & kX87Exceptions) != 0) fpu.status |= kX87Summary | kX87Busy;
  fpu.opcode &= 0x7ff;
  set_tags(fpu, abridged_tags(fpu));
}

[[gnu::noinline]] void load_unit(Core& core) {
  HostUnit& unit = *core.host_unit;
  FloatingPointState& fpu = core.state.fpu;
  normalise_x87(fpu);
  Fxsave64Header header{};
  header.control = unit.ignne ? fpu.control | kX87ControlMasks : fpu.control;
  header.status = unit.ignne ? fpu.status & ~(kX87Summary | kX87Busy) : fpu.status;
  header.tags = abridged_tags(fpu);
  header.mxcsr = host_mxcsr();
  std::memcpy(unit.image.data(), &header, sizeof header);
  put_stack(fpu, unit.image.data());
  restore_image(unit.image.data());
  unit.resident = true;
  unit.unmasked = (header.control & kX87ControlMasks) != kX87ControlMasks;
}

namespace {

[[gnu::noinline]] void save_unit(Core& core) {
  HostUnit& unit = *core.host_unit;
  FloatingPointState& fpu = core.state.fpu;
  save_image(unit.image.data());
  asm volatile("fninit");  // What the ABI promises to everybody else: an empty stack, all exceptions masked.
  Fxsave64Header header{};
  std::memcpy(&header, unit.image.data(), sizeof header);
  if (!unit.ignne) fpu.control = header.control;
  fpu.status = header.status;
  take_stack(unit.image.data(), fpu);
  set_tags(fpu, header.tags);
  normalise_x87(fpu);
  unit.resident = false;
}

}  // namespace

void fpu_enter(Core& core) {
  core.state.fpu.mxcsr &= host_unit(core).mxcsr_mask;
}

void fpu_leave(Core& core) {
  if (core.fpu_held) core.native->return_fpu(core);
  if (core.host_unit != nullptr && core.host_unit->resident) save_unit(core);
}

void set_x87_control(Core& core, uint16_t control) {
  HostUnit& unit = *core.host_unit;
  const uint16_t loaded = unit.ignne ? control | kX87ControlMasks : control;
  // SAFETY: FLDCW is a waiting instruction, but the caller has found no pending exception.
  asm volatile("fldcw %1\n\tfnstcw %0" : "=m"(core.state.fpu.control) : "m"(loaded));
  if (unit.ignne) core.state.fpu.control = static_cast<uint16_t>((control & 0x1f7f) | 0x40);
  unit.unmasked = (loaded & kX87ControlMasks) != kX87ControlMasks;
}

uint16_t x87_status(const Core& core) {
  const HostUnit& unit = *core.host_unit;
  uint16_t status = unit.resident ? host_x87_status() : core.state.fpu.status;
  if (unit.ignne && (status & ~core.state.fpu.control & kX87Exceptions) != 0)
    status |= kX87Summary | kX87Busy;
  return status;
}

// SDM Vol. 1, "MS-DOS Compatibility Sub-mode": with CR0.NE clear the processor asserts FERR# and stops before
// the waiting instruction until an interrupt comes. When none can be taken, it goes on as if IGNNE# were
// asserted: a guest that does not want the interrupt would stand still for ever otherwise.
bool x87_error(Core& core) {
  HostUnit& unit = *core.host_unit;
  if ((core.state.cr0 & x86::kCr0Ne) != 0) return core.raise(x86::Vector::X87FloatingPoint);
  if (!unit.ferr) {
    unit.ferr = true;
    unit.restart = true;
    fpu_leave(core);
    core.env.bus.set_ferr(core.env.index, true);
    return false;
  }
  set_ignne(core);
  load_unit(core);
  return true;
}

void update_ferr(Core& core) {
  HostUnit& unit = *core.host_unit;
  if (!unit.ferr && !unit.ignne) [[likely]]
    return;
  if ((x87_status(core) & kX87Summary) != 0) return;
  fpu_leave(core);
  unit.ignne = false;
  if (unit.ferr) core.env.bus.set_ferr(core.env.index, false);
  unit.ferr = false;
}

void set_ignne(Core& core) {
  HostUnit& unit = host_unit(core);
  if ((core.state.cr0 & x86::kCr0Ne) != 0) return;
  fpu_leave(core);
  unit.ignne = true;
}

bool store_selected_bytes(Core& core, const Instruction& i, std::span<const uint8_t> source,
                          std::span<const uint8_t> mask) {
  const uint32_t offset = core.state.gpr[x86::kEdi] & i.address_mask;
  uint32_t linear = 0;
  // A segment that cannot be written is refused whatever the mask.
  if (!linearise<Access::Write>(core, i.segment, offset, 1, linear)) return false;
  for (uint32_t n = 0; n < mask.size(); ++n) {
    if ((mask[n] & 0x80) == 0) continue;
    if (!linearise<Access::Write>(core, i.segment, (offset + n) & i.address_mask, 1, linear)) return false;
    if (!probe_write(core, linear, 1, current_privilege(core))) return false;
  }
  for (uint32_t n = 0; n < mask.size(); ++n) {
    if ((mask[n] & 0x80) != 0 && !store(core, i.segment, (offset + n) & i.address_mask, source[n]))
      return false;
  }
  return true;
}

void leave_unit(Core& core, const Instruction* instruction) {
  HostUnit& unit = *core.host_unit;
  if (!unit.restart) return leave_fault(core, instruction);
  unit.restart = false;
  return leave_before(core, instruction);
}

}  // namespace vitrine::cpu
