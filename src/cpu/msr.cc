// RDMSR and WRMSR. Documentation: SDM Vol. 4, "IA-32 Architectural MSRs"; Vol. 3A, "Memory Cache Control"
// (MTRRs, PAT). Implemented: those named in x86/msrs.h, where the processor model has the feature they belong
// to. Any other: #GP(0). Ignored: what MTRRs and PAT say about caching; microcode updates; machine checks
// (there are no banks).
#include "cpu/mode.h"
#include "cpu/system_instructions.h"
#include "memory/physical_map.h"
#include "x86/control_registers.h"
#include "x86/msrs.h"

namespace vitrine::cpu {

using x86::Msr;
using x86::Vector;

namespace {

constexpr uint64_t kBeyondPhysical = ~memory::PhysicalMap::kAddressMask;

// Where a fixed-range MTRR is kept, or null.
uint64_t* fixed_mtrr(CpuState& state, uint32_t number) {
  if (number == static_cast<uint32_t>(Msr::MtrrFixed64k)) return &state.mtrr_fixed[0];
  const uint32_t k16 = number - static_cast<uint32_t>(Msr::MtrrFixed16k0);
  if (k16 < 2) return &state.mtrr_fixed[1 + k16];
  const uint32_t k4 = number - static_cast<uint32_t>(Msr::MtrrFixed4k0);
  if (k4 < 8) return &state.mtrr_fixed[3 + k4];
  return nullptr;
}

uint64_t* variable_mtrr(CpuState& state, uint32_t number) {
  const uint32_t index = number - static_cast<uint32_t>(Msr::MtrrPhysicalBase0);
  return index < state.mtrr_variable.size() ? &state.mtrr_variable[index] : nullptr;
}

template <typename Predicate>
bool all_bytes(uint64_t value, Predicate predicate) {
  for (unsigned n = 0; n < 8; ++n) {
    if (!predicate(static_cast<uint8_t>(value >> (8 * n)))) return false;
  }
  return true;
}

bool valid_variable_mtrr(uint32_t number, uint64_t value) {
  const bool is_mask = (number & 1) != 0;
  if ((value & kBeyondPhysical) != 0) return false;
  if (is_mask) return (value & 0x7ff) == 0;
  return (value & 0xf00) == 0 && x86::is_mtrr_type(static_cast<uint8_t>(value));
}

// The feature without which an MSR does not exist; Feature::Msr for those that need no other.
Feature feature_of(uint32_t number) {
  if (number >= static_cast<uint32_t>(Msr::MtrrPhysicalBase0) &&
      number <= static_cast<uint32_t>(Msr::MtrrFixed4k7))
    return Feature::Mtrr;
  switch (static_cast<Msr>(number)) {
    case Msr::P5MachineCheckAddress:
    case Msr::P5MachineCheckType:
    case Msr::MachineCheckCapabilities:
    case Msr::MachineCheckStatus: return Feature::Mce;
    case Msr::TimeStampCounter: return Feature::Tsc;
    case Msr::ApicBase: return Feature::Apic;
    case Msr::MtrrCapabilities:
    case Msr::MtrrDefaultType: return Feature::Mtrr;
    case Msr::SysenterCs:
    case Msr::SysenterEsp:
    case Msr::SysenterEip: return Feature::Sep;
    case Msr::PageAttributeTable: return Feature::Pat;
    case Msr::TscDeadline: return Feature::TscDeadline;
    case Msr::Efer: return Feature::Nx;
    case Msr::TscAux: return Feature::Rdtscp;
    default: return Feature::Msr;
  }
}

// False: there is no such register to read.
bool read_msr(Core& core, uint32_t number, uint64_t& value) {
  CpuState& state = core.state;
  value = 0;
  if (const uint64_t* fixed = fixed_mtrr(state, number)) return value = *fixed, true;
  if (const uint64_t* variable = variable_mtrr(state, number)) return value = *variable, true;
  switch (static_cast<Msr>(number)) {
    case Msr::P5MachineCheckAddress:
    case Msr::P5MachineCheckType:
    case Msr::PlatformId:
    case Msr::MachineCheckCapabilities:
    case Msr::MachineCheckStatus:
    case Msr::PerformanceStatus:
    case Msr::DebugControl: return true;
    case Msr::FeatureControl: value = 1; return true;  // locked, nothing enabled
    case Msr::TimeStampCounter:
      value = core.env.bus.time_stamp(core.env.index) + state.tsc_offset;
      return true;
    case Msr::ApicBase: value = state.apic_base; return true;
    case Msr::MicrocodeRevision: value = state.microcode_version; return true;
    case Msr::MtrrCapabilities: value = x86::kMtrrCapabilities; return true;
    case Msr::SysenterCs: value = state.sysenter_cs; return true;
    case Msr::SysenterEsp: value = state.sysenter_esp; return true;
    case Msr::SysenterEip: value = state.sysenter_eip; return true;
    case Msr::MiscEnable: value = state.misc_enable; return true;
    case Msr::PageAttributeTable: value = state.pat; return true;
    case Msr::MtrrDefaultType: value = state.mtrr_def_type; return true;
    case Msr::TscDeadline: value = core.env.bus.tsc_deadline(core.env.index); return true;
    case Msr::Efer: value = state.efer; return true;
    case Msr::TscAux: value = state.tsc_aux; return true;
    default: return false;
  }
}

bool write_efer(Core& core, uint64_t value) {
  if ((value & ~x86::kEferNxe) != 0) return false;
  if (value != core.state.efer) {
    core.state.efer = value;
    flush_tlb(core);
    update_mode(core);
  }
  return true;
}

bool write_apic_base(Core& core, uint64_t value) {
  constexpr uint64_t kFlags = x86::kApicBaseBootstrap | x86::kApicBaseEnable;
  const uint64_t reserved = kBeyondPhysical | (0xfff & ~kFlags);
  if ((value & reserved) != 0 || !core.env.bus.set_apic_base(core.env.index, value)) return false;
  core.state.apic_base = value;
  return true;
}

bool write_mtrr_default(CpuState& state, uint64_t value) {
  constexpr uint64_t kEnables = 3u << 10;
  if ((value & ~(kEnables | 0xff)) != 0 || !x86::is_mtrr_type(static_cast<uint8_t>(value))) return false;
  state.mtrr_def_type = value;
  return true;
}

// False: there is no such register to write, or not this value.
bool write_msr(Core& core, uint32_t number, uint64_t value) {
  CpuState& state = core.state;
  const auto low = static_cast<uint32_t>(value);
  if (uint64_t* fixed = fixed_mtrr(state, number)) {
    if (!all_bytes(value, x86::is_mtrr_type)) return false;
    *fixed = value;
    return true;
  }
  if (uint64_t* variable = variable_mtrr(state, number)) {
    if (!valid_variable_mtrr(number, value)) return false;
    *variable = value;
    return true;
  }
  switch (static_cast<Msr>(number)) {
    case Msr::P5MachineCheckAddress:
    case Msr::P5MachineCheckType:
    case Msr::MicrocodeUpdate: return true;  // without effect
    case Msr::MachineCheckStatus:
    case Msr::DebugControl: return value == 0;
    case Msr::TimeStampCounter:
      state.tsc_offset = value - core.env.bus.time_stamp(core.env.index);
      return true;
    case Msr::ApicBase: return write_apic_base(core, value);
    case Msr::MicrocodeRevision: state.microcode_version = value; return true;
    case Msr::SysenterCs: state.sysenter_cs = low; return true;
    case Msr::SysenterEsp: state.sysenter_esp = low; return true;
    case Msr::SysenterEip: state.sysenter_eip = low; return true;
    case Msr::MiscEnable: state.misc_enable = value; return true;
    case Msr::PageAttributeTable:
      if (!all_bytes(value, x86::is_pat_type)) return false;
      state.pat = value;
      return true;
    case Msr::MtrrDefaultType: return write_mtrr_default(state, value);
    case Msr::TscDeadline: core.env.bus.set_tsc_deadline(core.env.index, value); return true;
    case Msr::Efer: return write_efer(core, value);
    case Msr::TscAux:
      if (value >> 32 != 0) return false;
      state.tsc_aux = low;
      return true;
    default: return false;
  }
}

}  // namespace

bool rdmsr(Core& core, const Instruction& /*i*/) {
  if (!require_supervisor(core)) return false;
  CpuState& state = core.state;
  const uint32_t number = state.gpr[x86::kEcx];
  uint64_t value = 0;
  if (!core.env.model.has(feature_of(number)) || !read_msr(core, number, value))
    return core.raise(Vector::GeneralProtection);
  state.gpr[x86::kEax] = static_cast<uint32_t>(value);
  state.gpr[x86::kEdx] = static_cast<uint32_t>(value >> 32);
  return true;
}

bool wrmsr(Core& core, const Instruction& /*i*/) {
  if (!require_supervisor(core)) return false;
  const CpuState& state = core.state;
  const uint32_t number = state.gpr[x86::kEcx];
  const uint64_t value = uint64_t{state.gpr[x86::kEdx]} << 32 | state.gpr[x86::kEax];
  if (!core.env.model.has(feature_of(number)) || !write_msr(core, number, value))
    return core.raise(Vector::GeneralProtection);
  return true;
}

}  // namespace vitrine::cpu
