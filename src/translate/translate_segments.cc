// Loads of DS and ES with the selector that they hold already, as a kernel does at its door: nothing changes
// as long as the descriptor is still what it was, which is looked at. Everything else about segments is the
// interpreter's. SDM Vol. 2B, "MOV", "POP": a load reads the descriptor each time.
#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Operation;

/// The selector is in r8d, its upper half zero.
void load_again(UnitBuilder& builder, unsigned segment) {
  Emitter& out = builder.out();
  const size_t reload =
      offsetof(GuestContext, reloads) + sizeof(SegmentReload) * (segment == x86::kDs ? 1 : 0);
  const auto field = [&](size_t offset) { return context_field(reload + offset); };
  out.move(kR9, kRcx);
  out.load(kRcx, field(offsetof(SegmentReload, negated_selector)));
  out.load_address(kRcx, {.base = kRcx, .index = kR8});
  builder.decline_unless_zero();
  out.load(kR10, field(offsetof(SegmentReload, descriptor)));
  for (const unsigned half : {0u, 1u}) {
    out.load(kR11,
             {.space = AddressSpace::Guest, .base = kR10, .displacement = static_cast<int32_t>(4 * half)});
    out.load(kRcx, field(offsetof(SegmentReload, negated_descriptor) + 4 * half));
    out.load_address(kRcx, {.base = kRcx, .index = kR11});
    builder.decline_unless_zero();
  }
  out.move(kRcx, kR9);
}

bool emit(UnitBuilder& builder) {
  const cpu::Instruction& i = builder.instruction();
  if (builder.user() || builder.options().privileged == PrivilegedPolicy::Trap) return false;
  if (i.reg != x86::kDs && i.reg != x86::kEs) return false;
  // movzx r8d, word
  HostInstruction selector{.map = 1, .opcode = 0xb7, .reg = kR8};
  const bool pop = i.operation == Operation::PopSegment && i.operand_size == 4;
  if (pop) {
    selector.is_memory = true;
    selector.memory = UnitBuilder::stack(0);
  } else if (i.operation == Operation::MovSegment && i.form == cpu::OperandForm::RegRm) {
    selector.is_memory = i.is_memory != 0;
    selector.rm = host_of(i.rm);
    if (selector.is_memory && !builder.memory_operand(selector.memory)) return false;
  } else {
    return false;
  }
  if (!builder.out().instruction(selector)) return false;
  load_again(builder, i.reg);
  if (pop) builder.move_stack_pointer(4);
  return true;
}

}  // namespace

Verdict translate_segments(UnitBuilder& builder) {
  return emit(builder) ? Verdict::Next : Verdict::Declined;
}

}  // namespace vitrine::translate
