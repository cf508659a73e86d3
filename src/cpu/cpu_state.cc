// Saving and restoring the architectural state.
#include "cpu/cpu_state.h"

#include <algorithm>

#include "base/addresses.h"
#include "x86/extended_state.h"
#include "x86/flags.h"

namespace vitrine::cpu {
namespace {

constexpr uint32_t kAttributeBits = 0x00f0ff00;

void serialize(StateArchive& archive, SegmentRegister& segment) {
  archive.fields(segment.selector, segment.attributes, segment.base, segment.limit);
  if ((segment.attributes & ~kAttributeBits) != 0) archive.reject("segment attributes");
}

void serialize(StateArchive& archive, FloatingPointState& fpu) {
  for (auto& bytes : fpu.registers) archive.field(bytes);
  archive.fields(fpu.control, fpu.status, fpu.tag, fpu.opcode, fpu.instruction_pointer,
                 fpu.instruction_segment, fpu.data_pointer, fpu.data_segment, fpu.mxcsr);
  for (auto& bytes : fpu.xmm) archive.field(bytes);
  for (auto& bytes : fpu.ymm_high) archive.field(bytes);
  if ((fpu.mxcsr & ~0xffffu) != 0) archive.reject("MXCSR");
}

}  // namespace

std::string_view activity_name(Activity activity) {
  switch (activity) {
    case Activity::Running: return "running";
    case Activity::Halted: return "halted";
    case Activity::Shutdown: return "shut down";
    case Activity::WaitForStartup: return "waiting for startup";
  }
  return "";
}

void CpuState::serialize(StateArchive& archive) {
  archive.section("cpu-state", 2);
  for (unsigned i = 0; i < x86::kGprCount; ++i) archive.field(gpr[i]);
  archive.fields(eip, eflags);
  for (SegmentRegister& segment : segments) cpu::serialize(archive, segment);
  cpu::serialize(archive, ldtr);
  cpu::serialize(archive, tr);
  archive.fields(gdtr.base, gdtr.limit, idtr.base, idtr.limit, cpl);
  archive.fields(cr0, cr2, cr3, cr4, pdptes, dr, dr6, dr7);
  archive.fields(efer, apic_base, tsc_offset, sysenter_cs, sysenter_esp, sysenter_eip, pat, xcr0);
  archive.fields(mtrr_def_type, mtrr_fixed, mtrr_variable, misc_enable, microcode_version, tsc_aux);
  archive.fields(activity, interrupt_shadow, nmi_blocked, nmis_pending, shared_page, interrupt_held);
  cpu::serialize(archive, fpu);
  if (cpl > 3) archive.reject("CPL");
  if (activity > Activity::WaitForStartup) archive.reject("activity");
  if (nmis_pending > kMostNmisPending) archive.reject("pending NMIs");
  constexpr uint64_t kComponents = x86::kXstateX87 | x86::kXstateSse | x86::kXstateAvx;
  const bool avx_alone = (xcr0 & (x86::kXstateAvx | x86::kXstateSse)) == x86::kXstateAvx;
  if ((xcr0 & x86::kXstateX87) == 0 || (xcr0 & ~kComponents) != 0 || avx_alone) archive.reject("XCR0");
  if ((eflags & ~x86::kFlagsDefined) != 0 || (eflags & x86::kFlagsFixed) == 0) archive.reject("EFLAGS");
  if (shared_page != kNoSharedPage && (shared_page & kPageMask) != 0) archive.reject("shared page");
  if (!archive.loading()) return;
  cpl &= 3;
  if (activity > Activity::WaitForStartup) activity = Activity::Shutdown;
  nmis_pending = std::min(nmis_pending, kMostNmisPending);
}

}  // namespace vitrine::cpu
