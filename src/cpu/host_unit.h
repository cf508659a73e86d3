// The host's x87/MMX unit in the guest's service, and what its users (interpret_x87.cc, interpret_vector.cc,
// floating_point_image.cc) share. The public side is fpu_state.h.
//
//   core.state.fpu ──load_unit()──► host's x87 registers ──fpu_leave()──► core.state.fpu
//
// The x87 registers, control and status word are *resident* in the host's unit from the first x87 or MMX
// instruction on until fpu_leave(): Vitrine's own code is compiled for SSE and does not touch them. What
// could (long double in a device, in a library) runs only after fpu_leave(). XMM registers and MXCSR are
// never resident: each instruction loads what it names. The last instruction's and operand's addresses are
// always in core.state.fpu: the host's would be those of stubs. See docs/host-unit.md.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/core.h"
#include "cpu/dispatch.h"
#include "cpu/fpu_state.h"
#include "cpu/host_code.h"
#include "x86/control_registers.h"
#include "x86/extended_state.h"

namespace vitrine::cpu {

struct HostUnit {
  explicit HostUnit(HostCode host_code) : code(std::move(host_code)) {}

  HostCode code;
  bool resident = false;  ///< The x87 registers are in the host's unit; else in core.state.fpu.
  bool unmasked =
      false;  ///< While resident: the control word leaves an exception unmasked, so that one can be pending.
  bool ferr = false;   ///< FERR# is asserted.
  bool ignne = false;  ///< IGNNE# is asserted, or nobody took the interrupt: pending exceptions are ignored.
  bool restart = false;          ///< The function that returned false wants its instruction executed again.
  uint32_t mxcsr_mask = 0xffff;  ///< Bits of MXCSR that exist here and in the model.
  alignas(64) std::array<uint8_t, 512> image{};  ///< For FXSAVE64, FXRSTOR64.
};

inline constexpr uint16_t kX87ControlMasks = 0x3f;
inline constexpr uint16_t kX87Exceptions = 0x3f;
inline constexpr uint16_t kX87Summary = 0x80;
inline constexpr uint16_t kX87Busy = 0x8000;
inline constexpr uint32_t kMxcsrMasks = 0x1f80;
inline constexpr uint32_t kMxcsrFlags = 0x3f;
inline constexpr uint32_t kMxcsrDefault = 0x1f80;

/// The bits of MXCSR that the host's processor has; others fault. SDM Vol. 1, "Guidelines for Writing to the
/// MXCSR Register".
[[nodiscard]] uint32_t host_mxcsr_mask();

/// The core's unit, made when asked for the first time.
[[nodiscard]] HostUnit& host_unit(Core& core);

/// Makes the x87 state resident.
void load_unit(Core& core);

/// What FNINIT leaves.
void reset_x87(FloatingPointState& fpu);
/// Bit n: register Rn is not empty. SDM Vol. 1, "FXSAVE: x87 FPU tag word".
[[nodiscard]] uint8_t abridged_tags(const FloatingPointState& fpu);
/// Full tags from the abridged form and the registers' contents.
void set_tags(FloatingPointState& fpu, uint8_t abridged);
/// Brings control, status and tag words into the form in which the hardware would hold them: reserved bits,
/// the error summary, tags. For values that come from guest memory or from a saved state.
void normalise_x87(FloatingPointState& fpu);

/// Makes the stub that a key stands for, once.
template <typename Build>
[[nodiscard]] const void* stub_for(HostUnit& unit, uint64_t key, Build build) {
  if (const void* found = unit.code.find(key)) return found;
  StubBytes stub;
  build(stub);
  return unit.code.add(key, stub);
}

// SAFETY: reads or writes only the x87 unit, which belongs to the guest while resident.
[[nodiscard]] inline uint16_t host_x87_status() {
  uint16_t status = 0;
  asm volatile("fnstsw %0" : "=a"(status));
  return status;
}

/// Whether an unmasked exception waits for the next waiting instruction. Resident only.
[[nodiscard]] inline bool x87_pending(const HostUnit& unit) {
  return unit.unmasked && (host_x87_status() & kX87Summary) != 0;
}

/// A new control word, here and in the host's unit. Resident only. Under IGNNE# the host's masks everything.
void set_x87_control(Core& core, uint16_t control);
/// The status word as the guest sees it.
[[nodiscard]] uint16_t x87_status(const Core& core);

/// A waiting instruction met a pending exception: #MF, or FERR# when CR0.NE is clear. True: go on, ignoring
/// it.
[[nodiscard]] bool x87_error(Core& core);
/// After anything that can have cleared the pending exceptions: FERR# follows.
void update_ferr(Core& core);

/// At the begin of every waiting x87 instruction but WAIT: #NM, pending exceptions; the state becomes
/// resident.
[[nodiscard]] inline bool x87_begin(Core& core) {
  if ((core.state.cr0 & (x86::kCr0Em | x86::kCr0Ts)) != 0) [[unlikely]]
    return core.raise(x86::Vector::DeviceNotAvailable);
  if (core.fpu_held) [[unlikely]]
    fpu_leave(core);
  HostUnit& unit = *core.host_unit;
  if (!unit.resident) [[unlikely]]
    load_unit(core);
  if (x87_pending(unit)) [[unlikely]]
    return x87_error(core);
  return true;
}

/// SDM Vol. 3A, table "Action Taken By the Processor for Different Combinations of EM, MP, and TS" for MMX.
[[nodiscard]] inline bool mmx_begin(Core& core) {
  if ((core.state.cr0 & x86::kCr0Em) != 0) [[unlikely]]
    return core.raise(x86::Vector::InvalidOpcode);
  return x87_begin(core);
}

/// #NM while CR0.TS is set; else the XMM and YMM registers are here.
[[nodiscard]] inline bool vector_state_here(Core& core) {
  if ((core.state.cr0 & x86::kCr0Ts) != 0) [[unlikely]]
    return core.raise(x86::Vector::DeviceNotAvailable);
  if (core.fpu_held) [[unlikely]]
    fpu_leave(core);
  return true;
}

/// SDM Vol. 2A, tables "Type 1"–"Type 5 Class Exception Conditions" in their legacy SSE columns.
[[nodiscard]] inline bool sse_begin(Core& core) {
  if ((core.state.cr0 & x86::kCr0Em) != 0 || (core.state.cr4 & x86::kCr4Osfxsr) == 0) [[unlikely]]
    return core.raise(x86::Vector::InvalidOpcode);
  return vector_state_here(core);
}

/// The VEX columns of the same tables.
[[nodiscard]] inline bool avx_begin(Core& core) {
  constexpr uint64_t kNeeded = x86::kXstateSse | x86::kXstateAvx;
  if (!core.protected_mode() || (core.state.cr4 & x86::kCr4Osxsave) == 0 ||
      (core.state.xcr0 & kNeeded) != kNeeded) [[unlikely]]
    return core.raise(x86::Vector::InvalidOpcode);
  return vector_state_here(core);
}

/// MASKMOVQ, (V)MASKMOVDQU: stores to [EDI] the bytes of `source` whose byte in `mask` has its sign bit set.
/// Nothing is written when one of them cannot be.
[[nodiscard]] bool store_selected_bytes(Core& core, const Instruction& i, std::span<const uint8_t> source,
                                        std::span<const uint8_t> mask);

/// As leave_fault(), for functions that may want to be restarted.
void leave_unit(Core& core, const Instruction* instruction);

/// The handler of an inline function of this family.
template <auto Function>
void run_unit(Core& core, const Instruction* instruction) {
  core.current = instruction;
  if (!Function(core, *instruction)) [[unlikely]]
    return leave_unit(core, instruction);
  return next(core, instruction);
}

}  // namespace vitrine::cpu
