// State after power-on, RESET# and INIT. SDM Vol. 3A, table "IA-32 and Intel 64 Processor States Following
// Power-up, Reset, or INIT".
#include "cpu/fpu_state.h"
#include "cpu/system.h"
#include "x86/control_registers.h"
#include "x86/descriptors.h"
#include "x86/msrs.h"

namespace vitrine::cpu {

namespace {

void reset_segments(CpuState& state) {
  const SegmentRegister data{
      .selector = 0, .attributes = x86::kDataSegment | x86::kAttributeAccessed, .base = 0, .limit = 0xffff};
  state.segments.fill(data);
  state.segments[x86::kCs] = SegmentRegister{.selector = 0xf000,
                                             .attributes = x86::kCodeSegment | x86::kAttributeAccessed,
                                             .base = 0xffff0000,
                                             .limit = 0xffff};
  state.ldtr =
      SegmentRegister{.selector = 0,
                      .attributes = x86::kAttributePresent | static_cast<uint32_t>(x86::SystemType::Ldt) << 8,
                      .base = 0,
                      .limit = 0xffff};
  state.tr = SegmentRegister{
      .selector = 0,
      .attributes = x86::kAttributePresent | static_cast<uint32_t>(x86::SystemType::Tss32Busy) << 8,
      .base = 0,
      .limit = 0xffff};
  state.gdtr = state.idtr = DescriptorTableRegister{.base = 0, .limit = 0xffff};
}

// What INIT resets as well.
void reset_registers(CpuState& state, uint32_t signature) {
  state.gpr.fill(0);
  state.gpr[x86::kEdx] = signature;
  state.eip = 0xfff0;
  state.eflags = x86::kFlagsFixed;
  reset_segments(state);
  state.cpl = 0;
  state.cr2 = state.cr3 = state.cr4 = 0;
  state.pdptes.fill(0);
  state.dr.fill(0);
  state.dr6 = 0xffff0ff0;
  state.dr7 = 0x400;
  state.efer = 0;
  state.interrupt_shadow = state.nmi_blocked = state.interrupt_held = false;
  state.nmis_pending = 0;
  state.shared_page = kNoSharedPage;
}

}  // namespace

void reset_state(Core& core, ResetKind kind) {
  if (core.fpu_held) fpu_leave(core);
  CpuState& state = core.state;
  const uint32_t signature = core.env.model.cpuid(1, 0).eax;
  if (kind == ResetKind::PowerOn) {
    state = CpuState{};
    state.cr0 = x86::kCr0Cd | x86::kCr0Nw | x86::kCr0Et;
    state.apic_base =
        x86::kApicBaseDefault | x86::kApicBaseEnable | (core.env.index == 0 ? x86::kApicBaseBootstrap : 0);
    state.tsc_offset = uint64_t{0} - core.env.bus.time_stamp(core.env.index);
    // The x87 unit after RESET#: as FNINIT, but with all exceptions unmasked and tags zero.
    state.fpu.control = 0x40;
    state.fpu.tag = 0x5555;
  } else {
    // CD and NW keep their values.
    state.cr0 = (state.cr0 & (x86::kCr0Cd | x86::kCr0Nw)) | x86::kCr0Et;
  }
  reset_registers(state, signature);
  const bool bootstrap = (state.apic_base & x86::kApicBaseBootstrap) != 0;
  state.activity = bootstrap ? Activity::Running : Activity::WaitForStartup;
  core.pending_dr6 = 0;
  flush_tlb(core);
  update_mode(core);
}

}  // namespace vitrine::cpu
