#include "cpu/code_segment.h"

#include "cpu/access.h"
#include "x86/tss.h"

namespace vitrine::cpu {

using x86::Descriptor;
using x86::EventSource;
using x86::Selector;
using x86::Vector;

bool prepare_code(Core& core, CodeTarget& target, uint32_t eip, EventSource source) {
  if (eip > target.descriptor.limit())
    return core.raise(Vector::GeneralProtection, source == EventSource::External ? x86::kErrorExternal : 0);
  return mark_accessed(core, target.selector, target.descriptor);
}

void enter_code(Core& core, const CodeTarget& target, uint8_t cpl, uint32_t eip) {
  core.state.segments[x86::kCs] = segment_from(target.selector.with_rpl(cpl), target.descriptor);
  core.state.cpl = cpl;
  core.state.eip = eip;
}

namespace {

bool read_inner_pointer(Core& core, uint8_t level, EventSource source, uint16_t& ss, uint32_t& esp) {
  const SegmentRegister& tss = core.state.tr;
  const bool is_32bit = x86::is_32bit_tss(tss.attributes);
  const uint32_t offset = is_32bit ? x86::tss32::kEsp0 + level * 8u : x86::tss16::kSp0 + level * 4u;
  const uint32_t last = offset + (is_32bit ? 5 : 3);
  if (last > tss.limit) return raise_selector(core, Vector::InvalidTss, Selector(tss.selector), source);
  if (is_32bit)
    return load_system(core, tss.base + offset, esp) && load_system(core, tss.base + offset + 4, ss);
  uint16_t sp = 0;
  if (!load_system(core, tss.base + offset, sp) || !load_system(core, tss.base + offset + 2, ss))
    return false;
  esp = sp;
  return true;
}

}  // namespace

bool find_inner_stack(Core& core, uint8_t level, EventSource source, InnerStack& stack) {
  uint16_t value = 0;
  if (!read_inner_pointer(core, level, source, value, stack.esp)) return false;
  const Selector selector(value);
  if (selector.null()) return raise_selector(core, Vector::InvalidTss, selector, source);
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor, Vector::InvalidTss, source)) return false;
  const uint32_t attributes = descriptor.attributes();
  if (selector.rpl() != level || x86::dpl(attributes) != level || !x86::is_writable(attributes))
    return raise_selector(core, Vector::InvalidTss, selector, source);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::StackFault, selector, source);
  if (!mark_accessed(core, selector, descriptor)) return false;
  stack.ss = segment_from(selector, descriptor);
  return true;
}

bool find_outer_stack(Core& core, Selector selector, uint8_t level, SegmentRegister& ss) {
  if (selector.null()) return core.raise(Vector::GeneralProtection);
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor)) return false;
  const uint32_t attributes = descriptor.attributes();
  if (selector.rpl() != level || x86::dpl(attributes) != level || !x86::is_writable(attributes))
    return raise_selector(core, Vector::GeneralProtection, selector);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::StackFault, selector);
  if (!mark_accessed(core, selector, descriptor)) return false;
  ss = segment_from(selector, descriptor);
  return true;
}

bool find_return_code(Core& core, Selector selector, CodeTarget& target) {
  if (selector.null()) return core.raise(Vector::GeneralProtection);
  target.selector = selector;
  if (!read_descriptor(core, selector, target.descriptor)) return false;
  const uint32_t attributes = target.descriptor.attributes();
  const uint8_t dpl = x86::dpl(attributes);
  const bool matches = x86::is_conforming(attributes) ? dpl <= selector.rpl() : dpl == selector.rpl();
  if (!x86::is_code(attributes) || selector.rpl() < core.state.cpl || !matches)
    return raise_selector(core, Vector::GeneralProtection, selector);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::SegmentNotPresent, selector);
  return true;
}

}  // namespace vitrine::cpu
