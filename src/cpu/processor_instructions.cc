// CPUID, the time-stamp counter, random numbers, HLT, caches, MONITOR and MWAIT. Documentation: SDM Vol. 2
// under each mnemonic. MWAIT returns at once, which the manual allows; RDPMC has no counters to read.
#include <immintrin.h>

#include "cpu/access.h"
#include "cpu/system_instructions.h"
#include "x86/control_registers.h"
#include "x86/extended_state.h"
#include "x86/msrs.h"

namespace vitrine::cpu {

using x86::Vector;

bool cpuid(Core& core, const Instruction& /*i*/) {
  CpuState& state = core.state;
  const uint32_t leaf = state.gpr[x86::kEax];
  CpuModel::Leaf answer = core.env.model.cpuid(leaf, state.gpr[x86::kEcx]);
  if (leaf == 1) {
    constexpr uint32_t kApicBit = 1u << 9;
    constexpr uint32_t kOsxsaveBit = 1u << 27;
    answer.ebx |= core.env.index << 24;
    if ((state.apic_base & x86::kApicBaseEnable) == 0) answer.edx &= ~kApicBit;
    if ((state.cr4 & x86::kCr4Osxsave) != 0) answer.ecx |= kOsxsaveBit;
  }
  // The size of an area for what is enabled now.
  const bool state_sizes = leaf == 13 && state.gpr[x86::kEcx] == 0;
  if (state_sizes && answer.ebx != 0) answer.ebx = x86::xsave_size(state.xcr0);
  state.gpr[x86::kEax] = answer.eax;
  state.gpr[x86::kEbx] = answer.ebx;
  state.gpr[x86::kEcx] = answer.ecx;
  state.gpr[x86::kEdx] = answer.edx;
  return true;
}

bool rdtsc(Core& core, const Instruction& /*i*/) {
  CpuState& state = core.state;
  if ((state.cr4 & x86::kCr4Tsd) != 0 && state.cpl != 0) return core.raise(Vector::GeneralProtection);
  const uint64_t value = core.env.bus.time_stamp(core.env.index) + state.tsc_offset;
  state.gpr[x86::kEax] = static_cast<uint32_t>(value);
  state.gpr[x86::kEdx] = static_cast<uint32_t>(value >> 32);
  return true;
}

bool rdtscp(Core& core, const Instruction& i) {
  if (!rdtsc(core, i)) return false;
  core.state.gpr[x86::kEcx] = core.state.tsc_aux;
  return true;
}

bool rdpmc(Core& core, const Instruction& /*i*/) {
  return core.raise(Vector::GeneralProtection);
}

namespace {

// SAFETY: called only when the model has the feature, and a model has it only where the host has.
[[gnu::target("rdrnd")]] bool host_rdrand(uint32_t& value) {
  return _rdrand32_step(&value) != 0;
}
[[gnu::target("rdseed")]] bool host_rdseed(uint32_t& value) {
  return _rdseed32_step(&value) != 0;
}

bool random_number(Core& core, const Instruction& i, bool (*source)(uint32_t& value)) {
  uint32_t value = 0;
  const bool valid = source(value);
  if (!valid) value = 0;
  if (i.operand_size == 4) {
    core.set<uint32_t>(i.rm, value);
  } else {
    core.set<uint16_t>(i.rm, static_cast<uint16_t>(value));
  }
  core.state.eflags = (core.state.eflags & ~x86::kArithmeticFlags) | (valid ? x86::kCf : 0);
  return true;
}

}  // namespace

bool rdrand(Core& core, const Instruction& i) {
  return random_number(core, i, &host_rdrand);
}

bool rdseed(Core& core, const Instruction& i) {
  return random_number(core, i, &host_rdseed);
}

bool hlt(Core& core, const Instruction& /*i*/) {
  if (!require_supervisor(core)) return false;
  core.state.activity = Activity::Halted;
  return true;
}

bool invalidate_caches(Core& core, const Instruction& /*i*/) {
  return require_supervisor(core);
}

bool monitor(Core& core, const Instruction& i) {
  if (core.state.cpl != 0) return core.raise(Vector::InvalidOpcode);
  if (core.state.gpr[x86::kEcx] != 0) return core.raise(Vector::GeneralProtection);
  uint8_t byte = 0;
  return load(core, i.segment, core.state.gpr[x86::kEax] & i.address_mask, byte);
}

bool mwait(Core& core, const Instruction& /*i*/) {
  if (core.state.cpl != 0) return core.raise(Vector::InvalidOpcode);
  constexpr uint32_t kBreakOnMaskedInterrupt = 1;
  if ((core.state.gpr[x86::kEcx] & ~kBreakOnMaskedInterrupt) != 0)
    return core.raise(Vector::GeneralProtection);
  return true;
}

}  // namespace vitrine::cpu
