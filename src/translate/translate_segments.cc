// Loads of ES, DS, FS and GS whose outcome is known (known_segments.h), as at a kernel's door, and VERW of
// the kernel's stack segment, with which kernels clear buffers, as long as the descriptor is still what it
// was, which is looked at. Everything else about segments is the interpreter's. SDM Vol. 2, "MOV", "POP",
// "VERW": they read the descriptor each time.
#include <algorithm>
#include <array>

#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Operation;

/// Leaves unless the descriptor is what it was. Its selector is not null.
void compare_descriptor(UnitBuilder& builder, size_t known) {
  Emitter& out = builder.out();
  for (const unsigned half : {0u, 1u}) {
    out.load(kR10, context_field(known + offsetof(KnownLoad, descriptor)));
    out.move(kRcx, kR9);  // The guest's: the table may lie where reading it faults.
    out.load(kR10,
             {.space = AddressSpace::Guest, .base = kR10, .displacement = static_cast<int32_t>(4 * half)});
    out.load(kRcx, context_field(known + offsetof(KnownLoad, negated_descriptor) + 4 * half));
    out.load_address(kRcx, {.base = kRcx, .index = kR10});
    builder.decline_unless_zero();
  }
}

size_t known_load(unsigned which, unsigned load) {
  return offsetof(GuestContext, known_loads) + sizeof(KnownLoad) * (which * kKnownLoads + load);
}

void check_descriptor(UnitBuilder& builder, unsigned which, unsigned load) {
  Emitter& out = builder.out();
  const size_t known = known_load(which, load);
  out.load(kRcx, context_field(known + offsetof(KnownLoad, descriptor)));
  const size_t null = out.jump_if_rcx_zero();
  const size_t not_null = out.jump();
  out.bind_short(null);
  const size_t checked = out.jump();
  out.bind(not_null);
  compare_descriptor(builder, known);
  out.bind(checked);
}

void set_segment(UnitBuilder& builder, unsigned which, unsigned load) {
  Emitter& out = builder.out();
  const x86::Segment segment = kKnownSegments[which];
  if (segment == x86::kFs || segment == x86::kGs) {
    const unsigned n = which - kKnownFs;
    const size_t to = offsetof(GuestContext, extra_segments) + sizeof(ExtraSegment) * n;
    const size_t from = offsetof(GuestContext, known_views) + sizeof(ExtraSegment) * (n * kKnownLoads + load);
    for (size_t at = 0; at < sizeof(ExtraSegment); at += 8) {
      out.load_wide(kRcx, context_field(from + at));
      out.store_wide(context_field(to + at), kRcx);
    }
  }
  out.store(context_field(offsetof(GuestContext, selectors) + 4 * segment), kR8);
  out.store_immediate(context_field(offsetof(GuestContext, loaded) + 4 * which), load + 1);
}

// VERW of a segment that SS has had: it can be written to. ZF alone changes.
void set_zero_flag(UnitBuilder& builder, unsigned /*which*/, unsigned /*load*/) {
  Emitter& out = builder.out();
  out.move(kR10, kRax);
  out.bytes(0x41, 0x0f, 0x90, 0xc0);  // seto r8b
  out.bytes(0x9f);                    // lahf
  out.bytes(0x80, 0xcc, 0x40);        // or ah, ZF
  out.bytes(0x41, 0x80, 0xc0, 0x7f);  // add r8b, 7fh: OF as it was
  out.bytes(0x9e);                    // sahf
  out.move(kRax, kR10);
}

using Outcome = void (*)(UnitBuilder& builder, unsigned which, unsigned load);

/// The selector is in r8d, its upper half zero.
void look_up(UnitBuilder& builder, unsigned which, Outcome outcome) {
  Emitter& out = builder.out();
  std::array<size_t, kKnownLoads> done{};
  out.move(kR9, kRcx);
  for (unsigned load = 0; load < kKnownLoads; ++load) {
    out.load(kRcx, context_field(known_load(which, load) + offsetof(KnownLoad, negated_selector)));
    out.load_address(kRcx, {.base = kRcx, .index = kR8});
    const size_t same = out.jump_if_rcx_zero();
    const size_t other = out.jump();
    out.bind_short(same);
    check_descriptor(builder, which, load);
    outcome(builder, which, load);
    done[load] = out.jump();
    out.bind(other);
  }
  builder.decline_unless_zero();
  for (const size_t site : done) out.bind(site);
  out.move(kRcx, kR9);
}

/// To r8d.
bool load_selector(UnitBuilder& builder) {
  const cpu::Instruction& i = builder.instruction();
  HostInstruction movzx{.map = 1, .opcode = 0xb7, .reg = kR8};
  movzx.is_memory = i.is_memory != 0;
  movzx.rm = host_of(i.rm);
  return (!movzx.is_memory || builder.memory_operand(movzx.memory)) && builder.out().instruction(movzx);
}

bool emit(UnitBuilder& builder) {
  const cpu::Instruction& i = builder.instruction();
  if (builder.user() || builder.options().privileged == PrivilegedPolicy::Trap) return false;
  if (i.operation == cpu::Operation::Verw) {
    if (!load_selector(builder)) return false;
    look_up(builder, kKnownSs, set_zero_flag);
    return true;
  }
  const bool pop = i.operation == Operation::PopSegment && i.operand_size == 4;
  if (!pop && (i.operation != Operation::MovSegment || i.form != cpu::OperandForm::RegRm)) return false;
  const auto segment = std::ranges::find(kKnownSegments, i.reg);
  if (segment == kKnownSegments.end() || *segment == x86::kSs) return false;
  if (pop) {
    const HostInstruction movzx{
        .map = 1, .opcode = 0xb7, .reg = kR8, .is_memory = true, .memory = builder.stack(0)};
    if (!builder.out().instruction(movzx)) return false;
  } else if (!load_selector(builder)) {
    return false;
  }
  look_up(builder, static_cast<unsigned>(segment - kKnownSegments.begin()), set_segment);
  if (pop) builder.move_stack_pointer(4);
  return true;
}

}  // namespace

Verdict translate_segments(UnitBuilder& builder) {
  return emit(builder) ? Verdict::Next : Verdict::Declined;
}

}  // namespace vitrine::translate
