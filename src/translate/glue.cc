#include "translate/glue.h"

#include <vector>

#include "base/addresses.h"

namespace vitrine::translate {
namespace {

constexpr uint8_t kSaved[] = {kRbp, kRbx, kR12, kR13, kR14, kR15};

void push(Emitter& out, uint8_t reg) {
  if (reg >= 8) out.byte(0x41);
  out.byte(static_cast<uint8_t>(0x50 | (reg & 7)));
}
void pop(Emitter& out, uint8_t reg) {
  if (reg >= 8) out.byte(0x41);
  out.byte(static_cast<uint8_t>(0x58 | (reg & 7)));
}

HostMemory gpr_field(unsigned n) {
  return context_field(offsetof(GuestContext, gpr) + 4 * n);
}

void make_return_to_monitor(Emitter& out) {
  for (unsigned n = std::size(kSaved); n-- > 0;) pop(out, kSaved[n]);
  out.byte(0xc3);
}

void make_aborted(Emitter& out) {
  out.store_immediate(VITRINE_CONTEXT(reason), static_cast<uint32_t>(Leave::Aborted));
  make_return_to_monitor(out);
}

// The ABI's state.
void make_host_fpu(Emitter& out) {
  out.bytes(0xdb, 0xe3);              // fninit
  out.bytes(0x41, 0x0f, 0xae, 0x96);  // ldmxcsr [r14 + disp32]
  out.dword(offsetof(GuestContext, host_mxcsr));
}

// Upper halves of YMM registers that are all zero stay out of it, not for the sake of the moves but of the
// guest's SSE code: that is slower on registers whose upper half is in use.

constexpr uint8_t kInsertHigh = 0x18, kExtractHigh = 0x19;  // VINSERTF128, VEXTRACTF128
void move_high_halves(Emitter& out, uint8_t opcode) {
  for (uint8_t n = 0; n < 8; ++n) {
    const uint8_t merged = opcode == kInsertHigh ? n : uint8_t{0};
    CHECK(out.instruction({.prefix66 = 0x66,
                           .map = 3,
                           .opcode = opcode,
                           .reg = n,
                           .is_memory = true,
                           .memory = context_field(offsetof(GuestContext, ymm_high) + 16 * n),
                           .immediate_size = 1,
                           .immediate = 1,
                           .vex = true,
                           .vex_l = 1,
                           .vvvv = merged}));
  }
}
void zero_high_halves(Emitter& out) {
  out.bytes(0xc5, 0xf8, 0x77);  // vzeroupper
}

void load_high_halves(Emitter& out, const GlueOptions& options) {
  if (!options.avx) return;
  out.load(kRcx, VITRINE_CONTEXT(ymm_loaded));
  const size_t not_loaded = out.jump_if_rcx_zero();
  zero_high_halves(out);
  out.load(kRcx, VITRINE_CONTEXT(ymm_in_use));
  const size_t not_in_use = out.jump_if_rcx_zero();
  move_high_halves(out, kInsertHigh);
  out.bind_short(not_in_use);
  out.bind_short(not_loaded);
}

// Changes rax, rcx, rdx.
void save_high_halves(Emitter& out, const GlueOptions& options) {
  if (!options.avx) return;
  out.load(kRcx, VITRINE_CONTEXT(ymm_loaded));
  const size_t not_loaded = out.jump_if_rcx_zero();
  out.move_immediate(kRcx, 1);
  if (options.xgetbv1) {
    out.bytes(0x0f, 0x01, 0xd0);  // xgetbv
    out.bytes(0x83, 0xe0, 0x04);  // and eax, 4: AVX state
    out.move(kRcx, kRax);
  }
  out.store(VITRINE_CONTEXT(ymm_in_use), kRcx);
  const size_t not_in_use = out.jump_if_rcx_zero();
  move_high_halves(out, kExtractHigh);
  zero_high_halves(out);
  out.bind_short(not_in_use);
  out.bind_short(not_loaded);
}

// From anywhere in enter() behind enter_asked: everything that is the guest's is still in the context.
void make_abort(Emitter& out, Glue& glue, const GlueOptions& options) {
  glue.abort = static_cast<uint32_t>(out.size());
  out.load_wide(kRsp, VITRINE_CONTEXT(monitor_stack));
  out.byte(0xfc);  // cld
  out.load(kRcx, VITRINE_CONTEXT(fpu_loaded));
  const size_t not_loaded = out.jump_if_rcx_zero();
  make_host_fpu(out);
  if (options.avx) zero_high_halves(out);
  out.bind_short(not_loaded);
  make_aborted(out);
}

void make_enter(Emitter& out, Glue& glue, const GlueOptions& options) {
  glue.enter = static_cast<uint32_t>(out.size());
  for (const uint8_t reg : kSaved) push(out, reg);
  out.bytes(0x49, 0x89, 0xfe);  // mov r14, rdi
  out.store_wide(VITRINE_CONTEXT(monitor_stack), kRsp);
  out.load(kRcx, VITRINE_CONTEXT(kicked));
  glue.enter_asked = static_cast<uint32_t>(out.size());
  const size_t go = out.jump_if_rcx_zero();
  make_aborted(out);
  out.bind_short(go);
  out.store_wide(VITRINE_CONTEXT(entry), kRsi);
  out.load_wide(kR12, VITRINE_CONTEXT(landing_pad));
  out.load_wide(kR13, VITRINE_CONTEXT(jump_cache));
  out.bytes(0x41, 0xff, 0xb6);  // push [r14 + disp32]
  out.dword(offsetof(GuestContext, rflags));
  out.byte(0x9d);  // popfq
  out.load_wide(kRsp, VITRINE_CONTEXT(return_stack));
  out.load(kRcx, VITRINE_CONTEXT(fpu_loaded));
  const size_t no_fpu = out.jump_if_rcx_zero();
  out.bytes(0x49, 0x0f, 0xae, 0x8e);  // fxrstor64 [r14 + disp32]
  out.dword(offsetof(GuestContext, fpu_image));
  out.bind_short(no_fpu);
  load_high_halves(out, options);
  out.load_wide(kWindow, VITRINE_CONTEXT(window));
  for (unsigned n = 0; n < 8; ++n) out.load(host_of(n), gpr_field(n));
  out.load_address_wide(kGuestStack, {.base = kGuestStack, .index = kWindow});
  out.jump_memory(VITRINE_CONTEXT(entry));
  glue.enter_end = static_cast<uint32_t>(out.size());
}

// The common end of all ways out. r10d: Leave.
void make_leave(Emitter& out, const GlueOptions& options) {
  for (unsigned n = 0; n < 8; ++n) out.store(gpr_field(n), host_of(n));
  out.store_wide(VITRINE_CONTEXT(return_stack), kRsp);
  out.load_wide(kRsp, VITRINE_CONTEXT(monitor_stack));
  out.bytes(0x9c, 0x58);  // pushfq; pop rax
  out.store_wide(VITRINE_CONTEXT(rflags), kRax);
  out.byte(0xfc);  // cld
  out.store(VITRINE_CONTEXT(eip), kR8);
  out.store(VITRINE_CONTEXT(site), kR11);
  out.store(VITRINE_CONTEXT(reason), kR10);
  out.load(kRcx, VITRINE_CONTEXT(fpu_loaded));
  const size_t not_loaded = out.jump_if_rcx_zero();
  out.bytes(0x49, 0x0f, 0xae, 0x86);  // fxsave64 [r14 + disp32]
  out.dword(offsetof(GuestContext, fpu_image));
  make_host_fpu(out);
  out.bind_short(not_loaded);
  save_high_halves(out, options);
  make_return_to_monitor(out);
}

void jump_back(Emitter& out, uint32_t to) {
  const size_t jump = out.jump();
  out.patch_dword(jump, to - static_cast<uint32_t>(jump) - 4);
}

/// Returns where; the jump to the common end is noted in `jumps`.
uint32_t make_way_out(Emitter& out, Leave reason, std::vector<size_t>& jumps) {
  const auto at = static_cast<uint32_t>(out.size());
  out.move_immediate(kR10, static_cast<uint32_t>(reason));
  jumps.push_back(out.jump());
  return at;
}

// r8d: the guest address. Key comparisons are additions that give zero; rcx is put aside in r9. Flags stay,
// which takes SHRX; hosts without it miss every time.
void make_indirect(Emitter& out, Glue& glue, const GlueOptions& options) {
  glue.mispredicted_return = static_cast<uint32_t>(out.size());
  out.move(kRcx, kR9);
  glue.indirect = static_cast<uint32_t>(out.size());
  if (!options.bmi2) {
    jump_back(out, glue.indirect_miss);
    return;
  }
  static_assert(sizeof(JumpEntry) == 16 && kJumpEntries == 1u << 16);
  out.bytes(0x45, 0x0f, 0xb7, 0xd0);                      // movzx r10d, r8w
  out.load_address(kR10, {.base = kR10, .index = kR10});  // an entry is two times eight bytes
  const auto field = [](size_t offset) {
    return HostMemory{.base = kR13, .index = kR10, .scale = 3, .displacement = static_cast<int32_t>(offset)};
  };
  out.move(kR9, kRcx);
  out.load(kRcx, field(offsetof(JumpEntry, negated_eip)));
  out.load_address(kRcx, {.base = kRcx, .index = kR8});
  const size_t same_address = out.jump_if_rcx_zero();
  const size_t miss = out.size();
  out.move(kRcx, kR9);
  jump_back(out, glue.indirect_miss);
  out.bind_short(same_address);
  out.load_wide(kRcx, VITRINE_CONTEXT(code_map));
  out.move_immediate(kR11, kPageShift);
  out.bytes(0xc4, 0x42, 0x23, 0xf7, 0xd8);  // shrx r11d, r8d, r11d: r11 is put right again below
  out.load(kR11, {.base = kRcx, .index = kR11, .scale = 2});
  out.load(kRcx, field(offsetof(JumpEntry, negated_page)));
  out.load_address(kRcx, {.base = kRcx, .index = kR11});
  const size_t same_page = out.jump_if_rcx_zero();
  jump_back(out, static_cast<uint32_t>(miss));
  out.bind_short(same_page);
  out.move(kRcx, kR9);
  out.load_wide(kWindow, VITRINE_CONTEXT(window));
  out.jump_memory(field(offsetof(JumpEntry, code)));
}

}  // namespace

Glue make_glue(Emitter& out, const GlueOptions& options) {
  Glue glue;
  std::vector<size_t> jumps;
  // First of all, since an empty entry of a target table leads to offset 0.
  glue.indirect_miss = make_way_out(out, Leave::Indirect, jumps);
  CHECK(glue.indirect_miss == 0);
  glue.link = make_way_out(out, Leave::Link, jumps);
  glue.decline = make_way_out(out, Leave::Decline, jumps);
  glue.fpu = make_way_out(out, Leave::Fpu, jumps);
  glue.kicked = make_way_out(out, Leave::Kicked, jumps);
  glue.fault = make_way_out(out, Leave::Fault, jumps);
  glue.stale = make_way_out(out, Leave::Stale, jumps);
  glue.spent = make_way_out(out, Leave::Spent, jumps);
  glue.repeat = make_way_out(out, Leave::Repeat, jumps);
  for (const size_t jump : jumps) out.bind(jump);
  make_leave(out, options);
  make_abort(out, glue, options);
  make_enter(out, glue, options);
  glue.unpaired_return = static_cast<uint32_t>(out.size());
  out.load_address_wide(kRsp, {.base = kRsp, .displacement = -8});  // leave the bottom where it is
  out.move(kR9, kRcx);
  make_indirect(out, glue, options);
  glue.unpaired_user_return = static_cast<uint32_t>(out.size());
  out.load_address_wide(kRsp, {.base = kRsp, .displacement = -8});
  out.move(kR9, kRcx);
  glue.mispredicted_user_return = static_cast<uint32_t>(out.size());
  out.move(kRcx, kR9);
  glue.table_jump = static_cast<uint32_t>(out.size());
  emit_table_jump(out, 0);
  glue.end = static_cast<uint32_t>(out.size());
  return glue;
}

namespace {

// Into r9.
void load_table_target(Emitter& out, uint32_t start) {
  out.load(kR9, {.base = kR13, .index = kR8, .scale = 2});
  out.bytes(0x4c, 0x8d, 0x15);  // lea r10, [rip + disp32]: offset 0 of code memory
  out.dword(0 - (start + static_cast<uint32_t>(out.size()) + 4));
  out.load_address_wide(kR9, {.base = kR9, .index = kR10});
}

}  // namespace

void emit_table_jump(Emitter& out, uint32_t start) {
  load_table_target(out, start);
  out.bytes(0x41, 0xff, 0xe1);  // jmp r9
}

void emit_table_call(Emitter& out, uint32_t start) {
  load_table_target(out, start);
  out.bytes(0x41, 0xff, 0xd1);  // call r9
}

}  // namespace vitrine::translate
