// Delivering events. Documentation: SDM Vol. 3A, "Interrupt and Exception Handling" (protected mode), "Double
// Fault Exception" (table of combinations), Vol. 3B, "8086 Emulation" (real and virtual-8086 mode), Vol. 2,
// "INT n".
#include <optional>
#include <utility>

#include "cpu/access.h"
#include "cpu/code_segment.h"
#include "cpu/mode.h"
#include "cpu/observer.h"
#include "cpu/stack_frame.h"
#include "cpu/task_switch.h"
#include "cpu/v86.h"
#include "x86/debug_registers.h"

namespace vitrine::cpu {

using x86::Descriptor;
using x86::EventSource;
using x86::Selector;
using x86::SystemType;
using x86::Vector;

namespace {

EventSource source_of(EventKind kind) {
  switch (kind) {
    case EventKind::SoftwareInterrupt:
    case EventKind::SoftwareException: return EventSource::Program;
    default: return EventSource::External;
  }
}

// Whether the gate's DPL protects it. INT1 is not checked.
bool checks_gate_privilege(EventKind kind) {
  return kind == EventKind::SoftwareInterrupt || kind == EventKind::SoftwareException;
}

// Delivered by an instruction, which is itself at fault when that fails.
bool is_instruction(EventKind kind) {
  return checks_gate_privilege(kind) || kind == EventKind::PrivilegedSoftwareException;
}

bool has_error_code(const Event& event) {
  return event.kind == EventKind::Fault && x86::pushes_error_code(event.vector);
}

// SDM Vol. 3B, "Instruction-Breakpoint Exception Condition": RF is set in the image of every fault but that
// of an instruction breakpoint, whose handler must set it itself, and in that of traps and interrupts between
// two iterations of a string instruction. A double fault is an abort and leaves it alone.
uint32_t flags_image(const Core& core, const Event& event) {
  const bool breakpoint = event.vector == Vector::Debug && (event.dr6 & x86::kDr6Hits) != 0;
  const bool resumes = event.kind == EventKind::Fault
                           ? !breakpoint && event.vector != Vector::DoubleFault
                           : core.repeating && source_of(event.kind) == EventSource::External;
  return core.state.eflags | (resumes ? x86::kRf : 0);
}

uint32_t external_bit(EventSource source) {
  return source == EventSource::External ? x86::kErrorExternal : 0;
}

bool deliver_real(Core& core, const Event& event) {
  CpuState& state = core.state;
  const uint32_t entry = static_cast<uint32_t>(event.vector) * 4;
  // There is no error code in real mode; it matters to no one.
  if (entry + 3 > state.idtr.limit) return core.raise(Vector::GeneralProtection);
  uint16_t ip = 0, cs = 0;
  if (!load_system(core, state.idtr.base + entry, ip) || !load_system(core, state.idtr.base + entry + 2, cs))
    return false;
  StackFrame frame(state.segments[x86::kSs], state.gpr[x86::kEsp], Privilege::Supervisor, 0);
  frame.push(2, state.eflags);
  frame.push(2, state.segments[x86::kCs].selector);
  frame.push(2, state.eip);
  if (!frame.check(core)) return false;
  if (!within_code(state.segments[x86::kCs], ip)) return core.raise(Vector::GeneralProtection);
  if (!frame.write(core)) return false;

  state.gpr[x86::kEsp] = frame.esp();
  state.eflags &= ~(x86::kIf | x86::kTf | x86::kAc | x86::kRf);
  state.segments[x86::kCs].selector = cs;
  state.segments[x86::kCs].base = uint32_t{cs} << 4;
  state.eip = ip;
  update_mode(core);
  return true;
}

struct Gate {
  Descriptor descriptor;
  SystemType type = SystemType::InterruptGate32;

  [[nodiscard]] bool task() const { return type == SystemType::TaskGate; }
  [[nodiscard]] bool masks_interrupts() const {
    return type == SystemType::InterruptGate16 || type == SystemType::InterruptGate32;
  }
  [[nodiscard]] bool is_32bit() const {
    return type == SystemType::InterruptGate32 || type == SystemType::TrapGate32;
  }
  [[nodiscard]] unsigned size() const { return is_32bit() ? 4 : 2; }
  [[nodiscard]] uint32_t entry() const {
    return is_32bit() ? descriptor.gate_offset() : descriptor.gate_offset16();
  }
};

bool is_idt_gate(uint32_t attributes) {
  for (const SystemType type : {SystemType::TaskGate, SystemType::InterruptGate16, SystemType::TrapGate16,
                                SystemType::InterruptGate32, SystemType::TrapGate32}) {
    if (x86::is_system_type(attributes, type)) return true;
  }
  return false;
}

bool find_gate(Core& core, const Event& event, Gate& gate) {
  const EventSource source = source_of(event.kind);
  const auto vector = static_cast<uint8_t>(event.vector);
  const uint32_t error = x86::gate_error(vector, source);
  if (vector * 8u + 7 > core.state.idtr.limit) return core.raise(Vector::GeneralProtection, error);
  uint64_t raw = 0;
  if (!load_system(core, core.state.idtr.base + vector * 8u, raw)) return false;
  gate.descriptor = Descriptor(raw);
  const uint32_t attributes = gate.descriptor.attributes();
  if (!is_idt_gate(attributes)) return core.raise(Vector::GeneralProtection, error);
  if (checks_gate_privilege(event.kind) && x86::dpl(attributes) < core.state.cpl)
    return core.raise(Vector::GeneralProtection, error);
  if (!x86::is_present(attributes)) return core.raise(Vector::SegmentNotPresent, error);
  gate.type = static_cast<SystemType>(x86::type_of(attributes));
  return true;
}

bool find_handler(Core& core, const Gate& gate, EventSource source, CodeTarget& target) {
  target.selector = gate.descriptor.gate_selector();
  if (target.selector.null()) return core.raise(Vector::GeneralProtection, external_bit(source));
  if (!read_descriptor(core, target.selector, target.descriptor, Vector::GeneralProtection, source))
    return false;
  const uint32_t attributes = target.descriptor.attributes();
  if (!x86::is_code(attributes) || x86::dpl(attributes) > core.state.cpl)
    return raise_selector(core, Vector::GeneralProtection, target.selector, source);
  if (!x86::is_present(attributes))
    return raise_selector(core, Vector::SegmentNotPresent, target.selector, source);
  // Out of virtual-8086 mode there is only one way: to level 0.
  if (core.v86_mode() && (x86::is_conforming(attributes) || x86::dpl(attributes) != 0))
    return raise_selector(core, Vector::GeneralProtection, target.selector, source);
  return true;
}

void push_return(StackFrame& frame, const Core& core, const Event& event, unsigned size) {
  frame.push(size, flags_image(core, event));
  frame.push(size, core.state.segments[x86::kCs].selector);
  frame.push(size, core.state.eip);
  if (has_error_code(event)) frame.push(size, event.error_code);
}

// The last step, when nothing can fail any more.
void enter_handler(Core& core, const Gate& gate, const CodeTarget& target, uint8_t cpl,
                   const StackFrame& frame) {
  core.state.gpr[x86::kEsp] = frame.esp();
  core.state.eflags &=
      ~(x86::kTf | x86::kNt | x86::kRf | x86::kVm | (gate.masks_interrupts() ? x86::kIf : 0));
  enter_code(core, target, cpl, gate.entry());
  update_mode(core);
}

bool deliver_same_level(Core& core, const Event& event, const Gate& gate, CodeTarget& target) {
  const CpuState& state = core.state;
  StackFrame frame(state.segments[x86::kSs], state.gpr[x86::kEsp], current_privilege(core),
                   external_bit(source_of(event.kind)));
  push_return(frame, core, event, gate.size());
  if (!frame.check(core) || !prepare_code(core, target, gate.entry(), source_of(event.kind)) ||
      !frame.write(core))
    return false;
  enter_handler(core, gate, target, state.cpl, frame);
  return true;
}

bool deliver_inner(Core& core, const Event& event, const Gate& gate, CodeTarget& target) {
  CpuState& state = core.state;
  const EventSource source = source_of(event.kind);
  const uint8_t level = x86::dpl(target.descriptor.attributes());
  InnerStack inner;
  if (!find_inner_stack(core, level, source, inner)) return false;
  StackFrame frame(inner.ss, inner.esp, Privilege::Supervisor,
                   x86::selector_error(Selector(inner.ss.selector), source));
  const unsigned size = gate.size();
  const bool from_v86 = core.v86_mode();
  if (from_v86) {
    for (const x86::Segment segment : {x86::kGs, x86::kFs, x86::kDs, x86::kEs})
      frame.push(size, state.segments[segment].selector);
  }
  frame.push(size, state.segments[x86::kSs].selector);
  frame.push(size, state.gpr[x86::kEsp]);
  push_return(frame, core, event, size);
  if (!frame.check(core) || !prepare_code(core, target, gate.entry(), source) || !frame.write(core))
    return false;

  state.segments[x86::kSs] = inner.ss;
  if (from_v86) {
    for (const x86::Segment segment : {x86::kGs, x86::kFs, x86::kDs, x86::kEs})
      state.segments[segment] = SegmentRegister{};
  }
  enter_handler(core, gate, target, level, frame);
  return true;
}

// SDM Vol. 3A, "Interrupt Tasks": the error code goes onto the new task's stack.
bool deliver_by_task(Core& core, const Event& event, const Gate& gate) {
  const EventSource source = source_of(event.kind);
  Selector selector;
  Descriptor tss;
  if (!resolve_task_gate(core, gate.descriptor, selector, tss, source)) return false;
  if (is_instruction(event.kind))
    return switch_task_by_instruction(core, selector, tss, TaskInitiator::Interrupt, source);
  const uint32_t eflags = core.state.eflags;
  core.state.eflags = flags_image(core, event);  // what the old TSS gets
  const TaskSwitchResult result = switch_task(core, selector, tss, TaskInitiator::Interrupt, source);
  if (result == TaskSwitchResult::Refused) core.state.eflags = eflags;
  if (result != TaskSwitchResult::Done) return false;
  if (!has_error_code(event)) return true;
  CpuState& state = core.state;
  StackFrame frame(state.segments[x86::kSs], state.gpr[x86::kEsp], current_privilege(core),
                   external_bit(source));
  frame.push(x86::is_32bit_tss(tss.attributes()) ? 4 : 2, event.error_code);
  if (!frame.check(core) || !frame.write(core)) return false;
  state.gpr[x86::kEsp] = frame.esp();
  return true;
}

bool deliver_protected(Core& core, const Event& event) {
  Gate gate;
  if (!find_gate(core, event, gate)) return false;
  if (gate.task()) return deliver_by_task(core, event, gate);
  CodeTarget target;
  if (!find_handler(core, gate, source_of(event.kind), target)) return false;
  const uint32_t attributes = target.descriptor.attributes();
  const bool inward = !x86::is_conforming(attributes) && x86::dpl(attributes) < core.state.cpl;
  return inward ? deliver_inner(core, event, gate, target) : deliver_same_level(core, event, gate, target);
}

bool deliver_once(Core& core, const Event& event) {
  return core.real_mode() ? deliver_real(core, event) : deliver_protected(core, event);
}

// SDM Vol. 3A, table "Interrupt and Exception Classes".
enum class FaultClass : uint8_t { Benign, Contributory, PageFault, DoubleFault };

FaultClass class_of(EventKind kind, Vector vector) {
  if (kind != EventKind::Fault) return FaultClass::Benign;
  switch (vector) {
    case Vector::DivideError:
    case Vector::InvalidTss:
    case Vector::SegmentNotPresent:
    case Vector::StackFault:
    case Vector::GeneralProtection: return FaultClass::Contributory;
    case Vector::PageFault: return FaultClass::PageFault;
    case Vector::DoubleFault: return FaultClass::DoubleFault;
    default: return FaultClass::Benign;
  }
}

// SDM Vol. 3A, table "Conditions for Generating a Double Fault": what to deliver when `second` happens while
// `first` is being delivered. Nothing: shutdown.
std::optional<Event> combine(const Event& first, const Fault& second) {
  const FaultClass before = class_of(first.kind, first.vector);
  const FaultClass now = class_of(EventKind::Fault, second.vector);
  const bool serious = now == FaultClass::Contributory || now == FaultClass::PageFault;
  if (before == FaultClass::DoubleFault && serious) return std::nullopt;
  const bool doubles = (before == FaultClass::Contributory && now == FaultClass::Contributory) ||
                       (before == FaultClass::PageFault && serious);
  if (doubles) return Event{.kind = EventKind::Fault, .vector = Vector::DoubleFault};
  return Event{.kind = EventKind::Fault,
               .vector = second.vector,
               .error_code = second.error_code,
               .address = second.address};
}

// SDM Vol. 3A, "Operations that Invalidate TLBs and Paging-Structure Caches": a page fault does, at its
// address. Interpreter and native engine each remember translations that the other does not know of.
void note_page_fault(Core& core, uint32_t address) {
  core.state.cr2 = address;
  flush_tlb_page(core, address);
}

void count_delivered(EventCounters& counters, const Event& event) {
  const auto vector = static_cast<size_t>(event.vector);
  switch (event.kind) {
    case EventKind::ExternalInterrupt: ++counters.interrupts[vector]; return;
    case EventKind::Nmi: ++counters.nmis; return;
    case EventKind::SoftwareInterrupt: ++counters.software_interrupts[vector]; return;
    case EventKind::Fault:
    case EventKind::Trap:
    case EventKind::SoftwareException:
    case EventKind::PrivilegedSoftwareException: ++counters.exceptions[vector]; return;
  }
}

void note_event(Core& core, const Event& event) {
  if (event.vector == Vector::PageFault && event.kind == EventKind::Fault)
    note_page_fault(core, event.address);
  // INT1 by itself leaves DR6 alone.
  if (event.vector == Vector::Debug &&
      (event.kind == EventKind::Fault || event.kind == EventKind::Trap || event.dr6 != 0)) {
    core.state.dr6 = (core.state.dr6 & ~x86::kDr6Hits) | event.dr6 | x86::kDr6Fixed;
  }
  if (event.vector == Vector::Debug && event.kind != EventKind::SoftwareInterrupt) {
    core.state.dr7 &= ~x86::kDr7GeneralDetect;
  }
}

}  // namespace

void deliver(Core& core, const Event& event) {
  if (core.state.activity == Activity::Halted) core.state.activity = Activity::Running;
  Event current = event;
  // Ends: every event that fails turns into one of a more serious class, or into a benign fault that cannot
  // repeat for ever, which the bound says.
  constexpr unsigned kMostAttempts = 8;
  for (unsigned attempt = 0; attempt < kMostAttempts; ++attempt) {
    if (core.observer != nullptr) core.observer->event(core.env.index, core.state, current);
    note_event(core, current);
    if (deliver_once(core, current)) {
      count_delivered(core.counters, current);
      if (event.kind == EventKind::Nmi) core.state.nmi_blocked = true;
      return;
    }
    // SDM Vol. 3A, "Page-Fault Exception": CR2 is that of the second page fault even when the two make a
    // double fault.
    if (core.fault.vector == Vector::PageFault) note_page_fault(core, core.fault.address);
    const std::optional<Event> following = combine(current, core.fault);
    if (!following) break;
    current = *following;
  }
  core.state.activity = Activity::Shutdown;
}

bool software_interrupt(Core& core, uint8_t vector, EventKind kind) {
  if (core.v86_mode() && kind == EventKind::SoftwareInterrupt) {
    V86Interrupt route = V86Interrupt::Protected;
    if (!route_v86_interrupt(core, vector, route)) return false;
    if (route == V86Interrupt::Redirected) return redirect_v86_interrupt(core, vector);
  }
  Event event{.kind = kind, .vector = static_cast<Vector>(vector)};
  // The #DB of INT1 reports the debug traps as well that a load of SS before it has held back.
  if (kind == EventKind::PrivilegedSoftwareException) event.dr6 = std::exchange(core.pending_dr6, 0);
  if (core.observer != nullptr) core.observer->event(core.env.index, core.state, event);
  if (kind == EventKind::PrivilegedSoftwareException) note_event(core, event);
  if (!deliver_once(core, event)) {
    core.pending_dr6 |= event.dr6;
    return false;
  }
  count_delivered(core.counters, event);
  return true;
}

}  // namespace vitrine::cpu
