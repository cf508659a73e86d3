// Instructions on segment registers and selectors: MOV, PUSH, POP, LDS and its kin, LAR, LSL, VERR, VERW,
// ARPL. Documentation: SDM Vol. 2 under each mnemonic; Vol. 3A, "Pointer Validation".
#include <algorithm>
#include <initializer_list>

#include "cpu/access.h"
#include "cpu/descriptor_access.h"
#include "cpu/far_pointer.h"
#include "cpu/stack_frame.h"
#include "cpu/system_instructions.h"

namespace vitrine::cpu {

using x86::Descriptor;
using x86::Selector;
using x86::SystemType;
using x86::Vector;

namespace {

bool read_selector_operand(Core& core, const Instruction& i, uint16_t& value) {
  if (i.is_memory) return load_operand(core, i, value);
  value = core.get<uint16_t>(i.rm);
  return true;
}

void set_zero_flag(Core& core, bool value) {
  core.state.eflags = value ? core.state.eflags | x86::kZf : core.state.eflags & ~x86::kZf;
}

// What LAR, LSL, VERR and VERW share: #UD outside protected mode, and a descriptor if the operand names one
// that the program may see. `visible` says whether; a page fault on the way is a fault.
bool look_up(Core& core, const Instruction& i, Descriptor& descriptor, bool& visible) {
  visible = false;
  if (!core.protected_mode()) return core.raise(Vector::InvalidOpcode);
  uint16_t operand = 0;
  if (!read_selector_operand(core, i, operand)) return false;
  const Selector selector(operand);
  if (selector.null()) return true;
  const std::optional<uint32_t> address = descriptor_address(core, selector);
  if (!address) return true;
  uint64_t raw = 0;
  if (!load_system(core, *address, raw)) return false;
  descriptor = Descriptor(raw);
  const uint32_t attributes = descriptor.attributes();
  visible =
      x86::is_conforming(attributes) || x86::dpl(attributes) >= std::max(selector.rpl(), core.state.cpl);
  return true;
}

using SystemTypeSet = uint16_t;
constexpr SystemTypeSet set_of(std::initializer_list<SystemType> types) {
  SystemTypeSet set = 0;
  for (const SystemType type : types) set |= static_cast<SystemTypeSet>(1u << static_cast<unsigned>(type));
  return set;
}
// SDM Vol. 2, "LSL", table "Segment and Gate Descriptor Types"; LAR adds the call and task gates.
constexpr SystemTypeSet kLslTypes =
    set_of({SystemType::Tss16Available, SystemType::Ldt, SystemType::Tss16Busy, SystemType::Tss32Available,
            SystemType::Tss32Busy});
constexpr SystemTypeSet kLarTypes =
    kLslTypes | set_of({SystemType::CallGate16, SystemType::TaskGate, SystemType::CallGate32});

bool has_type(uint32_t attributes, SystemTypeSet types) {
  return !x86::is_system(attributes) || (types >> x86::type_of(attributes) & 1) != 0;
}

void set_sized(Core& core, const Instruction& i, unsigned encoding, uint32_t value) {
  if (i.operand_size == 4) {
    core.set<uint32_t>(encoding, value);
  } else {
    core.set<uint16_t>(encoding, static_cast<uint16_t>(value));
  }
}

}  // namespace

bool mov_from_segment(Core& core, const Instruction& i) {
  if (i.reg >= x86::kSegmentCount) return core.raise(Vector::InvalidOpcode);
  const uint16_t selector = core.state.segments[i.reg].selector;
  if (i.is_memory) return store_operand(core, i, selector);
  set_sized(core, i, i.rm, selector);
  return true;
}

bool mov_to_segment(Core& core, const Instruction& i) {
  if (i.reg >= x86::kSegmentCount || i.reg == x86::kCs) return core.raise(Vector::InvalidOpcode);
  uint16_t selector = 0;
  if (!read_selector_operand(core, i, selector)) return false;
  if (!load_segment(core, static_cast<x86::Segment>(i.reg), selector)) return false;
  // SDM Vol. 3A, "Masking Exceptions and Interrupts When Switching Stacks".
  if (i.reg == x86::kSs) core.state.interrupt_shadow = true;
  return true;
}

bool push_segment(Core& core, const Instruction& i) {
  // Of the two documented behaviours for a 32-bit push we have the zero-extending one.
  const uint16_t selector = core.state.segments[i.reg].selector;
  return i.operand_size == 4 ? push<uint32_t>(core, selector) : push<uint16_t>(core, selector);
}

bool pop_segment(Core& core, const Instruction& i) {
  StackReader stack(core);
  uint32_t selector = 0;
  if (!stack.pop(i.operand_size == 4 ? 4 : 2, selector)) return false;
  const uint32_t esp = stack.esp();  // by the width of the stack before the load
  if (!load_segment(core, static_cast<x86::Segment>(i.reg), static_cast<uint16_t>(selector))) return false;
  core.state.gpr[x86::kEsp] = esp;
  if (i.reg == x86::kSs) core.state.interrupt_shadow = true;
  return true;
}

bool load_far_pointer(Core& core, const Instruction& i) {
  if (!i.is_memory) return core.raise(Vector::InvalidOpcode);
  LogicalAddress pointer;
  if (!load_pointer_operand(core, i, pointer)) return false;
  x86::Segment segment = x86::kDs;
  switch (i.operation) {
    case Operation::Les: segment = x86::kEs; break;
    case Operation::Lfs: segment = x86::kFs; break;
    case Operation::Lgs: segment = x86::kGs; break;
    case Operation::Lss: segment = x86::kSs; break;
    default: break;
  }
  if (!load_segment(core, segment, pointer.segment)) return false;
  set_sized(core, i, i.reg, pointer.offset);
  return true;
}

bool lar(Core& core, const Instruction& i) {
  Descriptor descriptor;
  bool visible = false;
  if (!look_up(core, i, descriptor, visible)) return false;
  visible = visible && has_type(descriptor.attributes(), kLarTypes);
  if (visible) set_sized(core, i, i.reg, descriptor.attributes());
  set_zero_flag(core, visible);
  return true;
}

bool lsl(Core& core, const Instruction& i) {
  Descriptor descriptor;
  bool visible = false;
  if (!look_up(core, i, descriptor, visible)) return false;
  visible = visible && has_type(descriptor.attributes(), kLslTypes);
  if (visible) set_sized(core, i, i.reg, descriptor.limit());
  set_zero_flag(core, visible);
  return true;
}

namespace {

bool verify(Core& core, const Instruction& i, bool (*usable)(uint32_t attributes)) {
  Descriptor descriptor;
  bool visible = false;
  if (!look_up(core, i, descriptor, visible)) return false;
  set_zero_flag(core, visible && usable(descriptor.attributes()));
  return true;
}

}  // namespace

bool verr(Core& core, const Instruction& i) {
  return verify(core, i, [](uint32_t attributes) { return x86::is_readable(attributes); });
}

bool verw(Core& core, const Instruction& i) {
  return verify(core, i, [](uint32_t attributes) { return x86::is_writable(attributes); });
}

bool arpl(Core& core, const Instruction& i) {
  if (!core.protected_mode()) return core.raise(Vector::InvalidOpcode);
  const Selector source(core.get<uint16_t>(i.reg));
  // Memory is read first and written only when the RPL changes: a page fault of the read says so in its error
  // code.
  uint16_t value = 0;
  if (!read_selector_operand(core, i, value)) return false;
  const Selector destination(value);
  const bool raised = destination.rpl() < source.rpl();
  if (raised) {
    const uint16_t result = destination.with_rpl(source.rpl()).value;
    if (!i.is_memory)
      core.set<uint16_t>(i.rm, result);
    else if (!store_operand(core, i, result))
      return false;
  }
  set_zero_flag(core, raised);
  return true;
}

}  // namespace vitrine::cpu
