// Near control transfer. Returns go by the host's own return stack: a guest's CALL is also one of the host's,
// and the guest's RET one of the host's, which lands behind the call and finds out there whether that is
// where the guest wanted to go (UnitBuilder::landing). Everything indirect goes by the jump cache (glue.h).
#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Instruction;
using cpu::Operation;

uint32_t target_of(const UnitBuilder& builder) {
  return builder.next_eip() + builder.instruction().displacement;
}

/// r8d = the r/m operand.
bool load_target(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  if (i.is_memory == 0) {
    builder.load_general(kR8, i.rm);
    return true;
  }
  HostMemory memory;
  if (!builder.memory_operand(memory)) return false;
  builder.out().load(kR8, memory);
  return true;
}

Verdict jump(UnitBuilder& builder) {
  if (builder.instruction().form == cpu::OperandForm::Relative) {
    builder.branch(builder.out().jump(), target_of(builder));
    return Verdict::Ends;
  }
  if (!load_target(builder)) return Verdict::Declined;
  builder.jump_indirect();
  return Verdict::Ends;
}

Verdict call(UnitBuilder& builder) {
  const bool direct = builder.instruction().form == cpu::OperandForm::Relative;
  if (!direct && !load_target(builder)) return Verdict::Declined;
  builder.out().store_immediate(builder.stack(-4), builder.next_eip());
  builder.move_stack_pointer(-4);
  if (direct) {
    builder.call_direct(target_of(builder));
  } else {
    builder.settle_stack_pointer();
    builder.call_indirect();
  }
  builder.landing(builder.next_eip());
  return Verdict::Next;
}

Verdict near_return(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const uint32_t release = i.form == cpu::OperandForm::Immediate ? i.immediate & 0xffff : 0;
  builder.out().load(kR8, builder.stack(0));
  builder.move_stack_pointer(static_cast<int32_t>(4 + release));
  builder.settle_stack_pointer();
  builder.out().byte(0xc3);
  return Verdict::Ends;
}

Verdict conditional(UnitBuilder& builder, unsigned condition) {
  builder.branch(builder.out().jump_if(condition), target_of(builder));
  return Verdict::Next;
}

// JCXZ, LOOP: short branches for the host, too; they skip a jump.
Verdict by_counter(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  Emitter& out = builder.out();
  if (i.address_mask != 0xffffffff) return Verdict::Declined;
  if (i.operation == Operation::Jcxz) {
    const size_t taken = out.jump_if_rcx_zero();
    const size_t skip = out.jump();
    out.bind_short(taken);
    builder.branch(out.jump(), target_of(builder));
    out.bind(skip);
    return Verdict::Next;
  }
  out.load_address(kRcx, {.base = kRcx, .displacement = -1});
  const size_t ended = out.jump_if_rcx_zero();
  if (i.operation == Operation::Loop) {
    builder.branch(out.jump(), target_of(builder));
  } else {
    builder.branch(out.jump_if(i.operation == Operation::Loope ? 4 : 5), target_of(builder));
  }
  out.bind_short(ended);
  return Verdict::Next;
}

int condition_of(Operation operation) {
  switch (operation) {
    case Operation::Jo: return 0;
    case Operation::Jno: return 1;
    case Operation::Jb: return 2;
    case Operation::Jnb: return 3;
    case Operation::Jz: return 4;
    case Operation::Jnz: return 5;
    case Operation::Jbe: return 6;
    case Operation::Jnbe: return 7;
    case Operation::Js: return 8;
    case Operation::Jns: return 9;
    case Operation::Jp: return 10;
    case Operation::Jnp: return 11;
    case Operation::Jl: return 12;
    case Operation::Jnl: return 13;
    case Operation::Jle: return 14;
    case Operation::Jnle: return 15;
    default: return -1;
  }
}

}  // namespace

bool is_near_branch(Operation operation) {
  switch (operation) {
    case Operation::Jmp:
    case Operation::Call:
    case Operation::Ret:
    case Operation::Jcxz:
    case Operation::Loop:
    case Operation::Loope:
    case Operation::Loopne: return true;
    default: return condition_of(operation) >= 0;
  }
}

Verdict translate_branch(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  if (i.operand_size != 4) return Verdict::Declined;  // EIP is cut to 16 bits
  switch (i.operation) {
    case Operation::Jmp: return jump(builder);
    case Operation::Call: return call(builder);
    case Operation::Ret: return near_return(builder);
    case Operation::Jcxz:
    case Operation::Loop:
    case Operation::Loope:
    case Operation::Loopne: return by_counter(builder);
    default: break;
  }
  const int condition = condition_of(i.operation);
  return condition < 0 ? Verdict::Declined : conditional(builder, static_cast<unsigned>(condition));
}

}  // namespace vitrine::translate
