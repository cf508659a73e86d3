// The instructions in front of far_transfer.cc, interrupt_return.cc and exceptions.cc.
#include "cpu/far_pointer.h"
#include "cpu/system.h"
#include "cpu/system_instructions.h"

namespace vitrine::cpu {

namespace {

LogicalAddress immediate_pointer(const Instruction& i) {
  return LogicalAddress{.segment = static_cast<uint16_t>(i.immediate),
                        .offset = i.operand_size == 2 ? i.displacement & 0xffff : i.displacement};
}

}  // namespace

bool jmp_far_pointer(Core& core, const Instruction& i) {
  return far_jump(core, immediate_pointer(i));
}

bool jmp_far_memory(Core& core, const Instruction& i) {
  LogicalAddress target;
  return load_pointer_operand(core, i, target) && far_jump(core, target);
}

bool call_far_pointer(Core& core, const Instruction& i) {
  return far_call(core, immediate_pointer(i), i.operand_size);
}

bool call_far_memory(Core& core, const Instruction& i) {
  LogicalAddress target;
  return load_pointer_operand(core, i, target) && far_call(core, target, i.operand_size);
}

bool ret_far(Core& core, const Instruction& i) {
  const bool releases = i.form == OperandForm::Immediate;
  return far_return(core, i.operand_size, releases ? static_cast<uint16_t>(i.immediate) : 0);
}

bool iret(Core& core, const Instruction& i) {
  return interrupt_return(core, i.operand_size);
}

bool int_n(Core& core, const Instruction& i) {
  return software_interrupt(core, static_cast<uint8_t>(i.immediate), EventKind::SoftwareInterrupt);
}

bool int1(Core& core, const Instruction& /*i*/) {
  return software_interrupt(core, static_cast<uint8_t>(x86::Vector::Debug),
                            EventKind::PrivilegedSoftwareException);
}

bool int3(Core& core, const Instruction& /*i*/) {
  return software_interrupt(core, static_cast<uint8_t>(x86::Vector::Breakpoint),
                            EventKind::SoftwareException);
}

bool into(Core& core, const Instruction& /*i*/) {
  if ((core.state.eflags & x86::kOf) == 0) return true;
  return software_interrupt(core, static_cast<uint8_t>(x86::Vector::Overflow), EventKind::SoftwareException);
}

}  // namespace vitrine::cpu
