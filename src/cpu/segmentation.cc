// Loading the data segment registers and SS. SDM Vol. 2, "MOV", pseudocode and protected-mode exceptions.
#include <algorithm>

#include "cpu/descriptor_access.h"
#include "cpu/system.h"

namespace vitrine::cpu {

using x86::Descriptor;
using x86::Selector;
using x86::Vector;

namespace {

bool load_stack_segment(Core& core, Selector selector) {
  if (selector.null()) return core.raise(Vector::GeneralProtection);
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor)) return false;
  const uint32_t attributes = descriptor.attributes();
  if (selector.rpl() != core.state.cpl || !x86::is_writable(attributes) ||
      x86::dpl(attributes) != core.state.cpl)
    return raise_selector(core, Vector::GeneralProtection, selector);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::StackFault, selector);
  if (!mark_accessed(core, selector, descriptor)) return false;
  core.state.segments[x86::kSs] = segment_from(selector, descriptor);
  return true;
}

bool load_data_segment(Core& core, x86::Segment segment, Selector selector) {
  if (selector.null()) {
    core.state.segments[segment] = SegmentRegister{.selector = selector.value};
    return true;
  }
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor)) return false;
  const uint32_t attributes = descriptor.attributes();
  if (!x86::is_readable(attributes)) return raise_selector(core, Vector::GeneralProtection, selector);
  if (!x86::is_conforming(attributes) && std::max(selector.rpl(), core.state.cpl) > x86::dpl(attributes))
    return raise_selector(core, Vector::GeneralProtection, selector);
  if (!x86::is_present(attributes)) return raise_selector(core, Vector::SegmentNotPresent, selector);
  if (!mark_accessed(core, selector, descriptor)) return false;
  core.state.segments[segment] = segment_from(selector, descriptor);
  return true;
}

// Only selector and base change: limit and access rights stay what protected mode left there ("big real
// mode"). A register that protected mode left null becomes usable again.
void load_real_segment(SegmentRegister& segment, uint16_t selector) {
  if (!x86::is_present(segment.attributes)) {
    segment.attributes = x86::kDataSegment | x86::kAttributeAccessed;
    segment.limit = 0xffff;
  }
  segment.selector = selector;
  segment.base = uint32_t{selector} << 4;
}

}  // namespace

bool load_segment(Core& core, x86::Segment segment, uint16_t selector) {
  if (core.real_mode()) {
    load_real_segment(core.state.segments[segment], selector);
  } else if (core.v86_mode()) {
    core.state.segments[segment] = segment_for_v86(selector);
  } else {
    const bool loaded = segment == x86::kSs ? load_stack_segment(core, Selector(selector))
                                            : load_data_segment(core, segment, Selector(selector));
    if (!loaded) return false;
  }
  if (segment == x86::kSs)
    update_mode(core);
  else
    update_data_segment(core, segment);
  return true;
}

}  // namespace vitrine::cpu
