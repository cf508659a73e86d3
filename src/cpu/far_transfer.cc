// Far JMP, CALL and RET. Documentation: SDM Vol. 2, "JMP", "CALL", "RET" (pseudocode and protected-mode
// exceptions); Vol. 3A, "Privilege Levels", "Call Gates".
#include <algorithm>
#include <array>

#include "cpu/access.h"
#include "cpu/code_segment.h"
#include "cpu/stack_frame.h"
#include "cpu/task_switch.h"

namespace vitrine::cpu {

using x86::Descriptor;
using x86::Selector;
using x86::SystemType;
using x86::Vector;

namespace {

// In real and virtual-8086 mode a far transfer sets CS like any segment register.
void load_simple_code(Core& core, uint16_t selector, uint32_t eip) {
  SegmentRegister& cs = core.state.segments[x86::kCs];
  if (core.v86_mode()) {
    cs = segment_for_v86(selector);
  } else {
    cs.selector = selector;
    cs.base = uint32_t{selector} << 4;
  }
  core.state.eip = eip;
  update_mode(core);
}

// What the selector of JMP or CALL names: a code segment, or a gate or TSS.
bool read_target(Core& core, CodeTarget& target) {
  if (target.selector.null()) return core.raise(Vector::GeneralProtection);
  if (!read_descriptor(core, target.selector, target.descriptor)) return false;
  const uint32_t attributes = target.descriptor.attributes();
  return x86::is_system(attributes) || x86::is_code(attributes) ||
         raise_selector(core, Vector::GeneralProtection, target.selector);
}

// A code segment named directly by JMP or CALL.
bool check_direct_code(Core& core, Selector selector, Descriptor descriptor) {
  const uint32_t attributes = descriptor.attributes();
  const uint8_t dpl = x86::dpl(attributes);
  const uint8_t cpl = core.state.cpl;
  const bool allowed = x86::is_conforming(attributes) ? dpl <= cpl : selector.rpl() <= cpl && dpl == cpl;
  if (!allowed) return raise_selector(core, Vector::GeneralProtection, selector);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::SegmentNotPresent, selector);
  return true;
}

// Rights of a gate or TSS descriptor that an instruction names.
bool check_system_privilege(Core& core, Selector selector, Descriptor descriptor) {
  if (x86::dpl(descriptor.attributes()) >= std::max(core.state.cpl, selector.rpl())) return true;
  return raise_selector(core, Vector::GeneralProtection, selector);
}

enum class Transfer : uint8_t { Jump, Call };

// The code segment behind a call gate.
bool resolve_call_gate(Core& core, Selector gate_selector, Descriptor gate, Transfer transfer,
                       CodeTarget& target) {
  if (!x86::is_present(gate.attributes()))
    return raise_selector(core, Vector::SegmentNotPresent, gate_selector);
  target.selector = gate.gate_selector();
  if (target.selector.null()) return core.raise(Vector::GeneralProtection);
  if (!read_descriptor(core, target.selector, target.descriptor)) return false;
  const uint32_t attributes = target.descriptor.attributes();
  const uint8_t dpl = x86::dpl(attributes);
  const bool inward = transfer == Transfer::Call || x86::is_conforming(attributes);
  const bool allowed = inward ? dpl <= core.state.cpl : dpl == core.state.cpl;
  if (!x86::is_code(attributes) || !allowed)
    return raise_selector(core, Vector::GeneralProtection, target.selector);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::SegmentNotPresent, target.selector);
  return true;
}

bool gate_is_32bit(Descriptor gate) {
  return x86::is_system_type(gate.attributes(), SystemType::CallGate32);
}
uint32_t gate_entry(Descriptor gate) {
  return gate_is_32bit(gate) ? gate.gate_offset() : gate.gate_offset16();
}

// A return address on the current stack, then the transfer; CPL stays.
bool call_same_privilege(Core& core, CodeTarget& target, uint32_t eip, unsigned size) {
  CpuState& state = core.state;
  StackFrame frame(state.segments[x86::kSs], state.gpr[x86::kEsp], current_privilege(core), 0);
  frame.push(size, state.segments[x86::kCs].selector);
  frame.push(size, state.eip);
  if (!frame.check(core) || !prepare_code(core, target, eip) || !frame.write(core)) return false;
  state.gpr[x86::kEsp] = frame.esp();
  enter_code(core, target, state.cpl, eip);
  update_mode(core);
  return true;
}

// SDM Vol. 3A, "Stack Switching": old SS:ESP, the parameters in their old order, then the return address.
bool call_inner(Core& core, CodeTarget& target, Descriptor gate) {
  CpuState& state = core.state;
  const uint8_t level = x86::dpl(target.descriptor.attributes());
  const unsigned size = gate_is_32bit(gate) ? 4 : 2;
  InnerStack inner;
  if (!find_inner_stack(core, level, x86::EventSource::Program, inner)) return false;

  const unsigned count = gate.parameter_count();
  std::array<uint32_t, 31> parameters{};
  StackReader outer(core);
  for (unsigned n = 0; n < count; ++n) {
    if (!outer.pop(size, parameters[n])) return false;
  }
  StackFrame frame(inner.ss, inner.esp, Privilege::Supervisor,
                   x86::selector_error(Selector(inner.ss.selector)));
  frame.push(size, state.segments[x86::kSs].selector);
  frame.push(size, state.gpr[x86::kEsp]);
  for (unsigned n = count; n > 0; --n) frame.push(size, parameters[n - 1]);
  frame.push(size, state.segments[x86::kCs].selector);
  frame.push(size, state.eip);

  const uint32_t eip = gate_entry(gate);
  if (!frame.check(core) || !prepare_code(core, target, eip) || !frame.write(core)) return false;
  state.segments[x86::kSs] = inner.ss;
  state.gpr[x86::kEsp] = frame.esp();
  enter_code(core, target, level, eip);
  update_mode(core);
  return true;
}

bool through_call_gate(Core& core, Selector selector, Descriptor gate, Transfer transfer) {
  CodeTarget target;
  if (!resolve_call_gate(core, selector, gate, transfer, target)) return false;
  const uint32_t eip = gate_entry(gate);
  if (transfer == Transfer::Jump) {
    if (!prepare_code(core, target, eip)) return false;
    enter_code(core, target, core.state.cpl, eip);
    update_mode(core);
    return true;
  }
  const uint32_t attributes = target.descriptor.attributes();
  if (!x86::is_conforming(attributes) && x86::dpl(attributes) < core.state.cpl)
    return call_inner(core, target, gate);
  return call_same_privilege(core, target, eip, gate_is_32bit(gate) ? 4 : 2);
}

// A selector that names a gate or a TSS.
bool transfer_to_system(Core& core, Selector selector, Descriptor descriptor, Transfer transfer) {
  const uint32_t attributes = descriptor.attributes();
  const TaskInitiator initiator = transfer == Transfer::Jump ? TaskInitiator::Jump : TaskInitiator::Call;
  switch (static_cast<SystemType>(x86::type_of(attributes))) {
    case SystemType::CallGate16:
    case SystemType::CallGate32:
      return check_system_privilege(core, selector, descriptor) &&
             through_call_gate(core, selector, descriptor, transfer);
    case SystemType::TaskGate: {
      if (!check_system_privilege(core, selector, descriptor)) return false;
      if (!x86::is_present(attributes)) return raise_selector(core, Vector::SegmentNotPresent, selector);
      Selector tss_selector;
      Descriptor tss;
      return resolve_task_gate(core, descriptor, tss_selector, tss, x86::EventSource::Program) &&
             switch_task_by_instruction(core, tss_selector, tss, initiator);
    }
    case SystemType::Tss16Available:
    case SystemType::Tss32Available:
      if (!check_system_privilege(core, selector, descriptor)) return false;
      // A TSS descriptor has its place in the GDT only.
      if (selector.local()) return raise_selector(core, Vector::GeneralProtection, selector);
      if (!x86::is_present(attributes)) return raise_selector(core, Vector::SegmentNotPresent, selector);
      return switch_task_by_instruction(core, selector, descriptor, initiator);
    default: return raise_selector(core, Vector::GeneralProtection, selector);
  }
}

bool return_simple(Core& core, unsigned size, uint16_t release) {
  StackReader stack(core);
  uint32_t eip = 0, cs = 0;
  if (!stack.pop(size, eip) || !stack.pop(size, cs)) return false;
  if (!within_code(core.state.segments[x86::kCs], eip)) return core.raise(Vector::GeneralProtection);
  stack.skip(release);
  core.state.gpr[x86::kEsp] = stack.esp();
  load_simple_code(core, static_cast<uint16_t>(cs), eip);
  return true;
}

bool return_outer(Core& core, StackReader& stack, CodeTarget& target, uint32_t eip, unsigned size,
                  uint16_t release) {
  CpuState& state = core.state;
  const uint8_t level = target.selector.rpl();
  uint32_t esp = 0, ss_value = 0;
  stack.skip(release);
  if (!stack.pop(size, esp) || !stack.pop(size, ss_value)) return false;
  SegmentRegister ss;
  if (!find_outer_stack(core, Selector(static_cast<uint16_t>(ss_value)), level, ss)) return false;
  if (!prepare_code(core, target, eip)) return false;
  enter_code(core, target, level, eip);
  // The caller's parameters lie on its own stack too.
  state.gpr[x86::kEsp] = merged_esp(ss, state.gpr[x86::kEsp], esp + release);
  state.segments[x86::kSs] = ss;
  drop_inner_segments(core);
  update_mode(core);
  return true;
}

}  // namespace

bool far_jump(Core& core, LogicalAddress target) {
  if (!core.protected_mode()) {
    if (!within_code(core.state.segments[x86::kCs], target.offset))
      return core.raise(Vector::GeneralProtection);
    load_simple_code(core, target.segment, target.offset);
    return true;
  }
  CodeTarget code{Selector(target.segment), {}};
  if (!read_target(core, code)) return false;
  if (x86::is_system(code.descriptor.attributes()))
    return transfer_to_system(core, code.selector, code.descriptor, Transfer::Jump);
  if (!check_direct_code(core, code.selector, code.descriptor) || !prepare_code(core, code, target.offset))
    return false;
  enter_code(core, code, core.state.cpl, target.offset);
  update_mode(core);
  return true;
}

bool far_call(Core& core, LogicalAddress target, unsigned operand_size) {
  CpuState& state = core.state;
  if (!core.protected_mode()) {
    StackFrame frame(state.segments[x86::kSs], state.gpr[x86::kEsp], current_privilege(core), 0);
    frame.push(operand_size, state.segments[x86::kCs].selector);
    frame.push(operand_size, state.eip);
    if (!frame.check(core)) return false;
    if (!within_code(state.segments[x86::kCs], target.offset)) return core.raise(Vector::GeneralProtection);
    if (!frame.write(core)) return false;
    state.gpr[x86::kEsp] = frame.esp();
    load_simple_code(core, target.segment, target.offset);
    return true;
  }
  CodeTarget code{Selector(target.segment), {}};
  if (!read_target(core, code)) return false;
  if (x86::is_system(code.descriptor.attributes()))
    return transfer_to_system(core, code.selector, code.descriptor, Transfer::Call);
  return check_direct_code(core, code.selector, code.descriptor) &&
         call_same_privilege(core, code, target.offset, operand_size);
}

bool far_return(Core& core, unsigned operand_size, uint16_t release) {
  if (!core.protected_mode()) return return_simple(core, operand_size, release);
  CpuState& state = core.state;
  StackReader stack(core);
  uint32_t eip = 0, cs = 0;
  if (!stack.pop(operand_size, eip) || !stack.pop(operand_size, cs)) return false;
  CodeTarget target;
  if (!find_return_code(core, Selector(static_cast<uint16_t>(cs)), target)) return false;
  if (target.selector.rpl() > state.cpl) return return_outer(core, stack, target, eip, operand_size, release);
  if (!prepare_code(core, target, eip)) return false;
  stack.skip(release);
  state.gpr[x86::kEsp] = stack.esp();
  enter_code(core, target, state.cpl, eip);
  update_mode(core);
  return true;
}

}  // namespace vitrine::cpu
