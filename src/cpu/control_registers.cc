// MOV to and from control and debug registers, CLTS, LMSW, SMSW, INVLPG, XGETBV, XSETBV. Documentation: SDM
// Vol. 3A, "Control Registers", "PDPTE Registers", "Invalidation of TLBs and Paging-Structure Caches"; Vol.
// 3B, "Debug Registers"; Vol. 2 under each mnemonic. Ignored bits: CR0.CD and NW have no effect (there is no
// cache to switch off).
#include "cpu/control_registers.h"

#include "cpu/access.h"
#include "cpu/observer.h"
#include "cpu/system_instructions.h"
#include "paging/page_walker.h"
#include "x86/control_registers.h"
#include "x86/debug_registers.h"
#include "x86/extended_state.h"

namespace vitrine::cpu {

using x86::Vector;

namespace {

constexpr uint32_t kCr0Defined = x86::kCr0Pe | x86::kCr0Mp | x86::kCr0Em | x86::kCr0Ts | x86::kCr0Et |
                                 x86::kCr0Ne | x86::kCr0Wp | x86::kCr0Am | x86::kCr0Nw | x86::kCr0Cd |
                                 x86::kCr0Pg;
// Changes of these make translations that were cached wrong.
constexpr uint32_t kCr0Translation = x86::kCr0Pe | x86::kCr0Pg | x86::kCr0Wp;
constexpr uint32_t kCr4Translation = x86::kCr4Pse | x86::kCr4Pae | x86::kCr4Pge;

bool uses_pdptes(uint32_t cr0, uint32_t cr4) {
  return (cr0 & x86::kCr0Pg) != 0 && (cr4 & x86::kCr4Pae) != 0;
}

// SDM Vol. 3A, "PDPTE Registers": reserved bits in a present entry are #GP(0), and none is loaded then.
bool reload_pdptes(Core& core, uint32_t cr3) {
  const auto pdptes = paging::read_pdptes(core.env.memory, cr3);
  if (!pdptes) return core.raise(Vector::GeneralProtection);
  core.state.pdptes = *pdptes;
  return true;
}

}  // namespace

bool load_cr0(Core& core, uint32_t value) {
  CpuState& state = core.state;
  value = (value & kCr0Defined) | x86::kCr0Et;
  const bool paging_without_protection = (value & x86::kCr0Pg) != 0 && (value & x86::kCr0Pe) == 0;
  const bool write_through_without_disable = (value & x86::kCr0Nw) != 0 && (value & x86::kCr0Cd) == 0;
  if (paging_without_protection || write_through_without_disable)
    return core.raise(Vector::GeneralProtection);
  const uint32_t changed = value ^ state.cr0;
  if ((changed & (x86::kCr0Pg | x86::kCr0Cd | x86::kCr0Nw)) != 0 && uses_pdptes(value, state.cr4) &&
      !reload_pdptes(core, state.cr3))
    return false;
  state.cr0 = value;
  if ((changed & kCr0Translation) != 0) flush_tlb(core);
  update_mode(core);
  return true;
}

bool load_cr3(Core& core, uint32_t value) {
  if (uses_pdptes(core.state.cr0, core.state.cr4) && !reload_pdptes(core, value)) return false;
  ++core.counters.page_table_loads;
  if (core.observer != nullptr) {
    core.observer->acted(core.env.index, core.state,
                         {.kind = MonitorAction::Kind::TableLoad,
                          .eip = core.restart_eip,
                          .from = core.state.cr3,
                          .to = value});
  }
  if (core.state.cr3 != value) ++core.counters.page_table_switches;
  core.state.cr3 = value;
  flush_tlb_non_global(core);
  update_mode(core);
  return true;
}

uint32_t defined_cr4(const CpuModel& model) {
  uint32_t defined = 0;
  const auto when = [&](Feature feature, uint32_t bits) {
    if (model.has(feature)) defined |= bits;
  };
  when(Feature::Vme, x86::kCr4Vme | x86::kCr4Pvi);
  when(Feature::Tsc, x86::kCr4Tsd);
  when(Feature::De, x86::kCr4De);
  when(Feature::Pse, x86::kCr4Pse);
  when(Feature::Pae, x86::kCr4Pae);
  when(Feature::Mce, x86::kCr4Mce);
  when(Feature::Pge, x86::kCr4Pge);
  when(Feature::Mmx, x86::kCr4Pce);
  when(Feature::Fxsr, x86::kCr4Osfxsr);
  when(Feature::Sse, x86::kCr4Osxmmexcpt);
  when(Feature::Xsave, x86::kCr4Osxsave);
  return defined;
}

bool load_cr4(Core& core, uint32_t value) {
  CpuState& state = core.state;
  if ((value & ~defined_cr4(core.env.model)) != 0) return core.raise(Vector::GeneralProtection);
  const uint32_t changed = value ^ state.cr4;
  if ((changed & kCr4Translation) != 0 && uses_pdptes(state.cr0, value) && !reload_pdptes(core, state.cr3))
    return false;
  state.cr4 = value;
  if ((changed & kCr4Translation) != 0) flush_tlb(core);
  update_mode(core);
  return true;
}

bool mov_from_control(Core& core, const Instruction& i) {
  const CpuState& state = core.state;
  uint32_t value = 0;
  switch (i.reg) {
    case 0: value = state.cr0; break;
    case 2: value = state.cr2; break;
    case 3: value = state.cr3; break;
    case 4:
      if (defined_cr4(core.env.model) == 0) return core.raise(Vector::InvalidOpcode);
      value = state.cr4;
      break;
    default: return core.raise(Vector::InvalidOpcode);
  }
  if (!require_supervisor(core)) return false;
  core.set<uint32_t>(i.rm, value);
  return true;
}

bool mov_to_control(Core& core, const Instruction& i) {
  const bool exists =
      i.reg == 0 || i.reg == 2 || i.reg == 3 || (i.reg == 4 && defined_cr4(core.env.model) != 0);
  if (!exists) return core.raise(Vector::InvalidOpcode);
  if (!require_supervisor(core)) return false;
  const uint32_t value = core.get<uint32_t>(i.rm);
  switch (i.reg) {
    case 0: return load_cr0(core, value);
    case 3: return load_cr3(core, value);
    case 4: return load_cr4(core, value);
    default: core.state.cr2 = value; return true;
  }
}

namespace {

// What both directions of MOV DR ask. `number` becomes that of the register meant.
bool check_debug_access(Core& core, unsigned& number) {
  CpuState& state = core.state;
  if (number > 7) return core.raise(Vector::InvalidOpcode);
  if (number == 4 || number == 5) {
    // Aliases of DR6 and DR7, unless debugging extensions are on.
    if ((state.cr4 & x86::kCr4De) != 0) return core.raise(Vector::InvalidOpcode);
    number += 2;
  }
  if (!require_supervisor(core)) return false;
  if ((state.dr7 & x86::kDr7GeneralDetect) == 0) return true;
  state.dr6 |= x86::kDr6GeneralDetect;
  return core.raise(Vector::Debug);
}

}  // namespace

bool mov_from_debug(Core& core, const Instruction& i) {
  unsigned number = i.reg;
  if (!check_debug_access(core, number)) return false;
  const CpuState& state = core.state;
  core.set<uint32_t>(i.rm, number < 4 ? state.dr[number] : number == 6 ? state.dr6 : state.dr7);
  return true;
}

bool mov_to_debug(Core& core, const Instruction& i) {
  unsigned number = i.reg;
  if (!check_debug_access(core, number)) return false;
  CpuState& state = core.state;
  const uint32_t value = core.get<uint32_t>(i.rm);
  if (number < 4) {
    state.dr[number] = value;
  } else if (number == 6) {
    state.dr6 = (value & x86::kDr6Writable) | x86::kDr6Fixed;
  } else {
    state.dr7 = (value & x86::kDr7Writable) | x86::kDr7Fixed;
  }
  update_mode(core);
  return true;
}

bool clts(Core& core, const Instruction& /*i*/) {
  if (!require_supervisor(core)) return false;
  core.state.cr0 &= ~x86::kCr0Ts;
  update_mode(core);
  return true;
}

bool lmsw(Core& core, const Instruction& i) {
  if (!require_supervisor(core)) return false;
  uint16_t value = 0;
  if (i.is_memory) {
    if (!load_operand(core, i, value)) return false;
  } else {
    value = core.get<uint16_t>(i.rm);
  }
  // PE can be set but not cleared.
  constexpr uint32_t kLoaded = x86::kCr0Mp | x86::kCr0Em | x86::kCr0Ts;
  return load_cr0(core, (core.state.cr0 & ~kLoaded) | (value & (kLoaded | x86::kCr0Pe)));
}

bool smsw(Core& core, const Instruction& i) {
  const uint32_t cr0 = core.state.cr0;
  if (i.is_memory) return store_operand(core, i, static_cast<uint16_t>(cr0));
  if (i.operand_size == 4) {
    core.set<uint32_t>(i.rm, cr0);
  } else {
    core.set<uint16_t>(i.rm, static_cast<uint16_t>(cr0));
  }
  return true;
}

bool invlpg(Core& core, const Instruction& i) {
  if (!require_supervisor(core)) return false;
  // The address is not checked against the segment's limit.
  flush_tlb_page(core, core.state.segments[i.segment].base + effective_offset(core, i));
  return true;
}

bool xgetbv(Core& core, const Instruction& /*i*/) {
  CpuState& state = core.state;
  if ((state.cr4 & x86::kCr4Osxsave) == 0) return core.raise(Vector::InvalidOpcode);
  if (state.gpr[x86::kEcx] != 0) return core.raise(Vector::GeneralProtection);
  state.gpr[x86::kEax] = static_cast<uint32_t>(state.xcr0);
  state.gpr[x86::kEdx] = static_cast<uint32_t>(state.xcr0 >> 32);
  return true;
}

bool xsetbv(Core& core, const Instruction& /*i*/) {
  CpuState& state = core.state;
  if ((state.cr4 & x86::kCr4Osxsave) == 0) return core.raise(Vector::InvalidOpcode);
  if (!require_supervisor(core)) return false;
  const uint64_t value = uint64_t{state.gpr[x86::kEdx]} << 32 | state.gpr[x86::kEax];
  const bool avx_alone = (value & (x86::kXstateAvx | x86::kXstateSse)) == x86::kXstateAvx;
  if (state.gpr[x86::kEcx] != 0 || (value & x86::kXstateX87) == 0 || avx_alone ||
      (value & ~uint64_t{core.env.model.cpuid(13, 0).eax}) != 0)
    return core.raise(Vector::GeneralProtection);
  state.xcr0 = value;
  update_mode(core);
  return true;
}

}  // namespace vitrine::cpu
