// Derives what the fast paths look at from the architectural state.
#include "cpu/mode.h"

#include "cpu/code_cache.h"
#include "cpu/native_engine.h"
#include "x86/control_registers.h"
#include "x86/debug_registers.h"
#include "x86/flags.h"

namespace vitrine::cpu {
namespace {

constexpr uint32_t kTypeShift = 8;
constexpr uint32_t kBig = 1u << 22;  // D/B

// SDM Vol. 3A, "Limit Checking", "Type Checking". In real mode the hidden attributes count as well: they are
// what was loaded last, and real-mode loads leave all but base and selector alone (which is what makes "big
// real mode" work).
// Field by field: a view that is built elsewhere and copied is read in wider pieces than it was written.
void set_view(SegmentView& view, const SegmentRegister& segment, bool check_type) {
  const uint32_t type = segment.attributes >> kTypeShift & 0xf;
  const bool usable = (segment.attributes & 0x9000) == 0x9000;  // present, and not a system segment
  const bool code = (type & 8) != 0;
  const bool expand_down = check_type && !code && (type & 4) != 0;
  bool readable = !check_type || (usable && (!code || (type & 2) != 0));
  bool writable = !check_type || (usable && !code && (type & 2) != 0);
  uint32_t low = 0, high = segment.limit;
  if (check_type && !usable) {
    low = 1;
    high = 0;
  } else if (expand_down) {
    high = (segment.attributes & kBig) != 0 ? 0xffffffff : 0xffff;
    low = segment.limit + 1;
    if (segment.limit == 0xffffffff) readable = writable = false;
  }
  view.base = segment.base;
  view.low = low;
  view.high = high;
  view.readable = readable;
  view.writable = writable;
}

void update_view(Core& core, unsigned segment, bool check_type) {
  SegmentView& view = core.views[segment];
  set_view(view, core.state.segments[segment], check_type);
  core.flat[segment] =
      view.readable && view.writable && view.base == 0 && view.low == 0 && view.high == 0xffffffff;
}

}  // namespace

void update_data_segment(Core& core, x86::Segment segment) {
  update_view(core, segment, core.protected_mode());
}

void update_mode(Core& core) {
  const CpuState& state = core.state;
  ++core.mode_changes;
  const bool check_type = core.protected_mode();
  for (unsigned i = 0; i < x86::kSegmentCount; ++i) update_view(core, i, check_type);
  const SegmentRegister& cs = state.segments[x86::kCs];
  core.cs_limit = cs.limit;
  const bool stack32 = (state.segments[x86::kSs].attributes & kBig) != 0;
  core.stack_mask = stack32 ? 0xffffffff : 0xffff;
  core.block_mode =
      ((cs.attributes & kBig) != 0 ? uint32_t{kModeCode32} : 0) | (stack32 ? uint32_t{kModeStack32} : 0);

  const bool user = state.cpl == 3;
  core.alignment_check = user && (state.cr0 & x86::kCr0Am) != 0 && (state.eflags & x86::kAc) != 0;
  bool watch_data = !core.debug.watchpoints.empty();
  bool code_breakpoints = false;
  for (unsigned i = 0; i < x86::kBreakpointCount; ++i) {
    if (!x86::breakpoint_enabled(state.dr7, i)) continue;
    const bool code = x86::breakpoint_kind(state.dr7, i) == x86::BreakpointKind::Execute;
    (code ? code_breakpoints : watch_data) = true;
  }
  core.watch_data = watch_data;
  core.force_step = code_breakpoints || !core.debug.breakpoints.empty() || core.debug.single_step;
  if (core.alignment_check || watch_data) {
    core.tlb = core.tlbs->empty();
  } else {
    core.tlb = user ? core.tlbs->user() : core.tlbs->supervisor();
  }
  core.code_context = uint64_t{cs.base} | uint64_t{core.mapping_generation & 0xffffff} << 32 |
                      uint64_t{core.block_mode | (user ? 8u : 0u)} << 56;
}

void new_mapping(Core& core) {
  ++core.mapping_generation;
  if ((core.mapping_generation & 0xffffff) == 0) {
    core.mapping_generation = 1;
    core.code->flush_jumps();
  }
  core.code_context = (core.code_context & ~(uint64_t{0xffffff} << 32)) | uint64_t{core.mapping_generation}
                                                                              << 32;
}

void flush_tlb(Core& core) {
  core.tlbs->flush_all();
  new_mapping(core);
  if (core.native != nullptr) core.native->invalidated(Invalidation::All, 0);
}

void flush_tlb_non_global(Core& core) {
  if ((core.state.cr4 & x86::kCr4Pge) == 0) return flush_tlb(core);
  core.tlbs->flush_non_global();
  new_mapping(core);
  if (core.native != nullptr) core.native->invalidated(Invalidation::NonGlobal, 0);
}

void flush_tlb_page(Core& core, uint32_t linear) {
  core.tlbs->flush_page(linear);
  new_mapping(core);
  if (core.native != nullptr) core.native->invalidated(Invalidation::Page, linear);
}

}  // namespace vitrine::cpu
