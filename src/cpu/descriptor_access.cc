#include "cpu/descriptor_access.h"

#include "cpu/access.h"

namespace vitrine::cpu {

using x86::Descriptor;
using x86::EventSource;
using x86::Selector;
using x86::Vector;

std::optional<uint32_t> descriptor_address(const Core& core, Selector selector) {
  const CpuState& state = core.state;
  if (selector.local()) {
    if (!x86::is_present(state.ldtr.attributes) || selector.offset() + 7 > state.ldtr.limit)
      return std::nullopt;
    return state.ldtr.base + selector.offset();
  }
  if (selector.offset() + 7 > state.gdtr.limit) return std::nullopt;
  return state.gdtr.base + selector.offset();
}

bool raise_selector(Core& core, Vector vector, Selector selector, EventSource source) {
  return core.raise(vector, x86::selector_error(selector, source));
}

bool read_descriptor(Core& core, Selector selector, Descriptor& descriptor, Vector vector,
                     EventSource source) {
  const std::optional<uint32_t> address = descriptor_address(core, selector);
  if (!address) return raise_selector(core, vector, selector, source);
  uint64_t raw = 0;
  if (!load_system(core, *address, raw)) return false;
  descriptor = Descriptor(raw);
  return true;
}

bool mark_accessed(Core& core, Selector selector, Descriptor& descriptor) {
  if ((descriptor.high & x86::kAttributeAccessed) != 0) return true;
  const uint32_t high = descriptor.high | x86::kAttributeAccessed;
  // Only the byte that holds the type is written: the rest may be changing under another processor.
  const std::optional<uint32_t> address = descriptor_address(core, selector);
  if (!address || !store_system(core, *address + 5, static_cast<uint8_t>(high >> 8))) return false;
  descriptor.high = high;
  return true;
}

bool set_tss_busy(Core& core, Selector selector, Descriptor& descriptor, TssBusy busy) {
  const uint32_t high =
      busy == TssBusy::Set ? descriptor.high | x86::kAttributeBusy : descriptor.high & ~x86::kAttributeBusy;
  const std::optional<uint32_t> address = descriptor_address(core, selector);
  if (!address) return raise_selector(core, Vector::InvalidTss, selector);
  if (!store_system(core, *address + 5, static_cast<uint8_t>(high >> 8))) return false;
  descriptor.high = high;
  return true;
}

SegmentRegister segment_from(Selector selector, Descriptor descriptor) {
  return SegmentRegister{.selector = selector.value,
                         .attributes = descriptor.attributes(),
                         .base = descriptor.base(),
                         .limit = descriptor.limit()};
}

SegmentRegister segment_for_v86(uint16_t selector) {
  // SDM Vol. 3B, "Virtual-8086 Mode": 64 KiB, read/write, DPL 3, accessed.
  return SegmentRegister{.selector = selector,
                         .attributes = x86::kDataSegment | x86::kAttributeDpl | x86::kAttributeAccessed,
                         .base = uint32_t{selector} << 4,
                         .limit = 0xffff};
}

bool within_limit(const SegmentRegister& segment, uint32_t offset, unsigned size) {
  const uint64_t last = uint64_t{offset} + size - 1;
  if (x86::is_expand_down(segment.attributes)) {
    const uint32_t top = x86::is_big(segment.attributes) ? 0xffffffff : 0xffff;
    return offset > segment.limit && last <= top;
  }
  return last <= segment.limit;
}

void drop_inner_segments(Core& core) {
  for (const x86::Segment number : {x86::kEs, x86::kDs, x86::kFs, x86::kGs}) {
    SegmentRegister& segment = core.state.segments[number];
    if (x86::is_conforming(segment.attributes)) continue;
    if (x86::dpl(segment.attributes) < core.state.cpl) segment = SegmentRegister{};
  }
}

}  // namespace vitrine::cpu
