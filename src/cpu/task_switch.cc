// Documentation: SDM Vol. 3A, "Task Switching" (the numbered steps there are named in comments), "Task
// Linking", "16-Bit Task-State Segment". Until the commit point every access that could fault has been tried;
// after it faults belong to the new task.
#include "cpu/task_switch.h"

#include <algorithm>
#include <array>
#include <optional>
#include <type_traits>

#include "cpu/access.h"
#include "cpu/control_registers.h"
#include "cpu/descriptor_access.h"
#include "x86/control_registers.h"
#include "x86/debug_registers.h"
#include "x86/tss.h"

namespace vitrine::cpu {

using x86::Descriptor;
using x86::EventSource;
using x86::Selector;
using x86::Vector;
namespace tss16 = x86::tss16;
namespace tss32 = x86::tss32;

namespace {

// What the new TSS says, widened to 32 bits.
struct TaskImage {
  uint32_t cr3 = 0;
  uint32_t eip = 0;
  uint32_t eflags = 0;
  std::array<uint32_t, x86::kGprCount> gpr{};
  std::array<uint16_t, x86::kSegmentCount> segments{};
  uint16_t ldt = 0;
  bool trap = false;
};

template <typename T>
bool read_into(Core& core, uint32_t linear, auto& value) {
  T raw = 0;
  if (!load_system(core, linear, raw)) return false;
  value = static_cast<std::remove_reference_t<decltype(value)>>(raw);
  return true;
}

bool read_image32(Core& core, uint32_t base, TaskImage& image) {
  uint16_t trap = 0;
  bool read = read_into<uint32_t>(core, base + tss32::kCr3, image.cr3) &&
              read_into<uint32_t>(core, base + tss32::kEip, image.eip) &&
              read_into<uint32_t>(core, base + tss32::kEflags, image.eflags) &&
              read_into<uint16_t>(core, base + tss32::kLdt, image.ldt) &&
              read_into<uint16_t>(core, base + tss32::kTrap, trap);
  for (unsigned n = 0; read && n < x86::kGprCount; ++n)
    read = read_into<uint32_t>(core, base + tss32::kGpr + n * 4, image.gpr[n]);
  for (unsigned n = 0; read && n < x86::kSegmentCount; ++n)
    read = read_into<uint16_t>(core, base + tss32::kSegments + n * 4, image.segments[n]);
  image.trap = (trap & 1) != 0;
  return read;
}

// FS and GS do not exist there: they become null. The upper halves of the general registers are ones.
bool read_image16(Core& core, uint32_t base, TaskImage& image) {
  bool read = read_into<uint16_t>(core, base + tss16::kIp, image.eip) &&
              read_into<uint16_t>(core, base + tss16::kFlags, image.eflags) &&
              read_into<uint16_t>(core, base + tss16::kLdt, image.ldt);
  for (unsigned n = 0; read && n < x86::kGprCount; ++n) {
    read = read_into<uint16_t>(core, base + tss16::kGpr + n * 2, image.gpr[n]);
    image.gpr[n] |= 0xffff0000;
  }
  for (unsigned n = 0; read && n < 4; ++n)
    read = read_into<uint16_t>(core, base + tss16::kSegments + n * 2, image.segments[n]);
  return read;
}

struct Range {
  uint32_t first, size;
};
// The part of the outgoing TSS that is written: EIP to GS, or IP to DS.
constexpr Range saved_range(bool is_32bit) {
  return is_32bit ? Range{tss32::kEip, tss32::kLdt - tss32::kEip}
                  : Range{tss16::kIp, tss16::kLdt - tss16::kIp};
}

bool probe_range(Core& core, uint32_t linear, uint32_t size) {
  return probe_write(core, linear, 1, Privilege::Supervisor) &&
         probe_write(core, linear + size - 1, 1, Privilege::Supervisor);
}

// Tries everything that will be written before the commit point.
bool probe_writes(Core& core, const SegmentRegister& old_tss, Selector selector, Descriptor tss,
                  TaskInitiator initiator) {
  const Range saved = saved_range(x86::is_32bit_tss(old_tss.attributes));
  if (!probe_range(core, old_tss.base + saved.first, saved.size)) return false;
  if (initiator == TaskInitiator::Jump || initiator == TaskInitiator::Return) {
    const auto address = descriptor_address(core, Selector(old_tss.selector));
    if (address && !probe_write(core, *address + 5, 1, Privilege::Supervisor)) return false;
  }
  if (initiator != TaskInitiator::Return) {
    const auto address = descriptor_address(core, selector);
    if (address && !probe_write(core, *address + 5, 1, Privilege::Supervisor)) return false;
  }
  const bool links = initiator == TaskInitiator::Call || initiator == TaskInitiator::Interrupt;
  return !links || probe_write(core, tss.base() + tss32::kBacklink, 2, Privilege::Supervisor);
}

bool save_old_task(Core& core, const SegmentRegister& tss, uint32_t eflags) {
  const CpuState& state = core.state;
  const uint32_t base = tss.base;
  bool written = true;
  if (x86::is_32bit_tss(tss.attributes)) {
    written = store_system(core, base + tss32::kEip, state.eip) &&
              store_system(core, base + tss32::kEflags, eflags);
    for (unsigned n = 0; written && n < x86::kGprCount; ++n)
      written = store_system(core, base + tss32::kGpr + n * 4, state.gpr[n]);
    for (unsigned n = 0; written && n < x86::kSegmentCount; ++n)
      written = store_system(core, base + tss32::kSegments + n * 4, state.segments[n].selector);
    return written;
  }
  written = store_system(core, base + tss16::kIp, static_cast<uint16_t>(state.eip)) &&
            store_system(core, base + tss16::kFlags, static_cast<uint16_t>(eflags));
  for (unsigned n = 0; written && n < x86::kGprCount; ++n)
    written = store_system(core, base + tss16::kGpr + n * 2, static_cast<uint16_t>(state.gpr[n]));
  for (unsigned n = 0; written && n < 4; ++n)
    written = store_system(core, base + tss16::kSegments + n * 2, state.segments[n].selector);
  return written;
}

// Busy bits, back link, and the outgoing task's registers.
bool write_tables(Core& core, Selector selector, Descriptor& tss, TaskInitiator initiator) {
  const SegmentRegister old_tss = core.state.tr;
  uint32_t eflags = core.state.eflags;
  if (initiator == TaskInitiator::Return) eflags &= ~x86::kNt;
  if (!save_old_task(core, old_tss, eflags)) return false;
  if (initiator == TaskInitiator::Jump || initiator == TaskInitiator::Return) {
    const Selector old_selector(old_tss.selector);
    Descriptor old_descriptor;
    // Null when no task register was ever loaded: there is no descriptor to free.
    if (!old_selector.null() && (!read_descriptor(core, old_selector, old_descriptor, Vector::InvalidTss) ||
                                 !set_tss_busy(core, old_selector, old_descriptor, TssBusy::Clear)))
      return false;
  }
  if (initiator != TaskInitiator::Return && !set_tss_busy(core, selector, tss, TssBusy::Set)) return false;
  if (initiator == TaskInitiator::Call || initiator == TaskInitiator::Interrupt)
    return store_system(core, tss.base() + tss32::kBacklink, old_tss.selector);
  return true;
}

// Registers that cannot fail; segment registers get their selectors, with nothing usable behind them yet.
void load_registers(Core& core, const TaskImage& image, TaskInitiator initiator) {
  CpuState& state = core.state;
  uint32_t eflags = (image.eflags & x86::kFlagsDefined) | x86::kFlagsFixed;
  if (initiator == TaskInitiator::Call || initiator == TaskInitiator::Interrupt) eflags |= x86::kNt;
  state.eflags = eflags;
  state.eip = image.eip;
  for (unsigned n = 0; n < x86::kGprCount; ++n) state.gpr[n] = image.gpr[n];
  const bool v86 = (eflags & x86::kVm) != 0;
  for (unsigned n = 0; n < x86::kSegmentCount; ++n) {
    state.segments[n] =
        v86 ? segment_for_v86(image.segments[n]) : SegmentRegister{.selector = image.segments[n]};
  }
  state.cpl = v86 ? 3 : Selector(image.segments[x86::kCs]).rpl();
  state.ldtr = SegmentRegister{.selector = image.ldt};
  state.cr0 |= x86::kCr0Ts;
  state.dr7 &= ~(x86::kDr7LocalEnables | x86::kDr7LocalExact);
}

bool load_ldt(Core& core, uint16_t value, EventSource source) {
  const Selector selector(value);
  if (selector.null()) return true;
  if (selector.local()) return raise_selector(core, Vector::InvalidTss, selector, source);
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor, Vector::InvalidTss, source)) return false;
  const uint32_t attributes = descriptor.attributes();
  if (!x86::is_system_type(attributes, x86::SystemType::Ldt) || !x86::is_present(attributes))
    return raise_selector(core, Vector::InvalidTss, selector, source);
  core.state.ldtr = segment_from(selector, descriptor);
  return true;
}

bool load_code(Core& core, Selector selector, EventSource source) {
  if (selector.null()) return raise_selector(core, Vector::InvalidTss, selector, source);
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor, Vector::InvalidTss, source)) return false;
  const uint32_t attributes = descriptor.attributes();
  const uint8_t dpl = x86::dpl(attributes);
  const bool matches = x86::is_conforming(attributes) ? dpl <= selector.rpl() : dpl == selector.rpl();
  if (!x86::is_code(attributes) || !matches)
    return raise_selector(core, Vector::InvalidTss, selector, source);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::SegmentNotPresent, selector, source);
  if (!mark_accessed(core, selector, descriptor)) return false;
  core.state.segments[x86::kCs] = segment_from(selector, descriptor);
  return true;
}

bool load_stack(Core& core, Selector selector, EventSource source) {
  if (selector.null()) return raise_selector(core, Vector::InvalidTss, selector, source);
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor, Vector::InvalidTss, source)) return false;
  const uint32_t attributes = descriptor.attributes();
  if (!x86::is_writable(attributes) || x86::dpl(attributes) != core.state.cpl ||
      selector.rpl() != core.state.cpl)
    return raise_selector(core, Vector::InvalidTss, selector, source);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::StackFault, selector, source);
  if (!mark_accessed(core, selector, descriptor)) return false;
  core.state.segments[x86::kSs] = segment_from(selector, descriptor);
  return true;
}

bool load_data(Core& core, x86::Segment number, Selector selector, EventSource source) {
  if (selector.null()) return true;
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor, Vector::InvalidTss, source)) return false;
  const uint32_t attributes = descriptor.attributes();
  const uint8_t privilege = std::max(selector.rpl(), core.state.cpl);
  const bool visible = x86::is_conforming(attributes) || x86::dpl(attributes) >= privilege;
  if (!x86::is_readable(attributes) || !visible)
    return raise_selector(core, Vector::InvalidTss, selector, source);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::SegmentNotPresent, selector, source);
  if (!mark_accessed(core, selector, descriptor)) return false;
  core.state.segments[number] = segment_from(selector, descriptor);
  return true;
}

// Everything from here on is checked in the new task's name. SDM Vol. 3A, table "Exception Conditions Checked
// During a Task Switch".
//
// "Interrupt 10—Invalid TSS Exception": after the commit point all of the new task's state is loaded before
// the exception is generated, and its handler must not rely on the segment registers. So the first fault
// counts, but what comes behind it is loaded too as far as it is fit for use: a handler that is reached
// through an interrupt gate needs the new task's stack, whatever is wrong with CS.
bool qualify_segments(Core& core, const TaskImage& image, EventSource source) {
  std::optional<Fault> first;
  const auto note = [&](bool loaded) {
    if (!loaded && !first) first = core.fault;
  };
  note(load_ldt(core, image.ldt, source));
  if (!core.v86_mode()) {
    note(load_code(core, Selector(image.segments[x86::kCs]), source));
    note(load_stack(core, Selector(image.segments[x86::kSs]), source));
    for (const x86::Segment number : {x86::kEs, x86::kDs, x86::kFs, x86::kGs})
      note(load_data(core, number, Selector(image.segments[number]), source));
  }
  if (!first && !within_code(core.state.segments[x86::kCs], core.state.eip))
    note(core.raise(Vector::GeneralProtection, source == EventSource::External ? x86::kErrorExternal : 0));
  if (first) core.fault = *first;
  return !first;
}

bool enter_new_task(Core& core, const TaskImage& image, bool is_32bit, TaskInitiator initiator,
                    EventSource source) {
  load_registers(core, image, initiator);
  const bool load_page_tables = is_32bit && (core.state.cr0 & x86::kCr0Pg) != 0;
  const bool mapped = !load_page_tables || load_cr3(core, image.cr3);
  update_mode(core);
  const bool qualified = mapped && qualify_segments(core, image, source);
  update_mode(core);
  if (!qualified) return false;
  if (image.trap) {
    core.pending_dr6 |= x86::kDr6TaskSwitch;
    core.attention |= kAttentionTrap;
  }
  return true;
}

}  // namespace

TaskSwitchResult switch_task(Core& core, Selector selector, Descriptor tss, TaskInitiator initiator,
                             EventSource source) {
  const bool is_32bit = x86::is_32bit_tss(tss.attributes());
  if (tss.limit() < x86::minimum_tss_limit(is_32bit)) {
    raise_selector(core, Vector::InvalidTss, selector, source);
    return TaskSwitchResult::Refused;
  }
  TaskImage image;
  const bool readable =
      is_32bit ? read_image32(core, tss.base(), image) : read_image16(core, tss.base(), image);
  if (!readable || !probe_writes(core, core.state.tr, selector, tss, initiator) ||
      !write_tables(core, selector, tss, initiator))
    return TaskSwitchResult::Refused;

  tss.high |= x86::kAttributeBusy;
  core.state.tr = segment_from(selector, tss);
  return enter_new_task(core, image, is_32bit, initiator, source) ? TaskSwitchResult::Done
                                                                  : TaskSwitchResult::Faulted;
}

bool switch_task_by_instruction(Core& core, Selector selector, Descriptor tss, TaskInitiator initiator,
                                EventSource source) {
  switch (switch_task(core, selector, tss, initiator, source)) {
    case TaskSwitchResult::Done: return true;
    case TaskSwitchResult::Refused: return false;
    case TaskSwitchResult::Faulted: break;
  }
  const Fault fault = core.fault;
  deliver(core, Event{.kind = EventKind::Fault,
                      .vector = fault.vector,
                      .error_code = fault.error_code,
                      .address = fault.address});
  return true;
}

bool resolve_task_gate(Core& core, Descriptor gate, Selector& selector, Descriptor& tss, EventSource source) {
  selector = gate.gate_selector();
  if (selector.local()) return raise_selector(core, Vector::GeneralProtection, selector, source);
  if (!read_descriptor(core, selector, tss, Vector::GeneralProtection, source)) return false;
  if (!x86::is_available_tss(tss.attributes()))
    return raise_selector(core, Vector::GeneralProtection, selector, source);
  if (!x86::is_present(tss.attributes()))
    return raise_selector(core, Vector::SegmentNotPresent, selector, source);
  return true;
}

bool return_to_previous_task(Core& core) {
  uint16_t link = 0;
  if (!load_system(core, core.state.tr.base + tss32::kBacklink, link)) return false;
  const Selector selector(link);
  if (selector.local()) return raise_selector(core, Vector::InvalidTss, selector);
  Descriptor tss;
  if (!read_descriptor(core, selector, tss, Vector::InvalidTss)) return false;
  if (!x86::is_busy_tss(tss.attributes())) return raise_selector(core, Vector::InvalidTss, selector);
  if (!x86::is_present(tss.attributes())) return raise_selector(core, Vector::SegmentNotPresent, selector);
  return switch_task_by_instruction(core, selector, tss, TaskInitiator::Return);
}

}  // namespace vitrine::cpu
