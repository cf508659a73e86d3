// SYSENTER and SYSEXIT. Documentation: SDM Vol. 2 under each mnemonic; Vol. 3A, "Performing Fast Calls to
// System Procedures". The segments are flat whatever the descriptor tables say.
#include "cpu/mode.h"
#include "cpu/system_instructions.h"
#include "x86/descriptors.h"

namespace vitrine::cpu {

using x86::Selector;
using x86::Vector;

namespace {

SegmentRegister flat_segment(uint16_t selector, uint32_t type, uint8_t level) {
  return SegmentRegister{.selector = Selector(selector).with_rpl(level).value,
                         .attributes = type | x86::kFlat32 | x86::kAttributeAccessed |
                                       uint32_t{level} << x86::kAttributeDplShift,
                         .base = 0,
                         .limit = 0xffffffff};
}

void enter_flat(Core& core, uint32_t code_selector, uint8_t level, uint32_t eip, uint32_t esp) {
  CpuState& state = core.state;
  state.segments[x86::kCs] = flat_segment(static_cast<uint16_t>(code_selector), x86::kCodeSegment, level);
  state.segments[x86::kSs] = flat_segment(static_cast<uint16_t>(code_selector + 8), x86::kDataSegment, level);
  state.cpl = level;
  state.eip = eip;
  state.gpr[x86::kEsp] = esp;
  update_mode(core);
}

bool usable(const Core& core) {
  return !core.real_mode() && !Selector(static_cast<uint16_t>(core.state.sysenter_cs)).null();
}

}  // namespace

bool sysenter(Core& core, const Instruction& /*i*/) {
  CpuState& state = core.state;
  if (!usable(core)) return core.raise(Vector::GeneralProtection);
  state.eflags &= ~(x86::kVm | x86::kIf | x86::kRf);
  enter_flat(core, state.sysenter_cs & 0xfffc, 0, state.sysenter_eip, state.sysenter_esp);
  return true;
}

bool sysexit(Core& core, const Instruction& /*i*/) {
  CpuState& state = core.state;
  if (!usable(core) || state.cpl != 0) return core.raise(Vector::GeneralProtection);
  enter_flat(core, (state.sysenter_cs & 0xfffc) + 16, 3, state.gpr[x86::kEdx], state.gpr[x86::kEcx]);
  return true;
}

}  // namespace vitrine::cpu
