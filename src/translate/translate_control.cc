// Reads of control registers: a handler of page faults begins with one. SDM Vol. 2B, "MOV—Move to/from
// Control Registers".
#include "translate/unit_builder.h"

namespace vitrine::translate {

Verdict translate_control(UnitBuilder& builder) {
  const cpu::Instruction& i = builder.instruction();
  const bool reads = i.operation == cpu::Operation::MovControl && i.form == cpu::OperandForm::RmReg;
  if (!reads || builder.user() || builder.options().privileged == PrivilegedPolicy::Trap)
    return Verdict::Declined;
  // The rest are rare, or #UD, CR4 where the processor has nothing in it.
  if (i.reg == 1 || i.reg >= kControlRegisters || i.rm == x86::kEsp) return Verdict::Declined;
  builder.out().load(host_of(i.rm), context_field(offsetof(GuestContext, controls) + 4 * i.reg));
  return Verdict::Next;
}

}  // namespace vitrine::translate
