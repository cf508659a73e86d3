#include "translate/known_segments.h"

#include <algorithm>
#include <optional>

#include "cpu/mode.h"
#include "x86/descriptors.h"
#include "x86/selector.h"

namespace vitrine::translate {
namespace {

using cpu::SegmentRegister;

// FS and GS, which need not be flat.
constexpr bool has_view(unsigned which) {
  return which == kKnownFs || which == kKnownFs + 1;
}

void update(ExtraSegment& segment, const cpu::SegmentView& view) {
  const bool usable = view.readable && view.writable && view.low == 0;
  segment.base = view.base;
  if (segment.usable == usable && segment.limit == view.high) return;
  segment.usable = usable;
  segment.limit = view.high;
  const auto base = reinterpret_cast<uint64_t>(&segment.base);
  segment.unlimited = usable && view.high == 0xffffffff ? base : 0;
  for (unsigned n = 0; n < ExtraSegment::kClasses; ++n)
    segment.within[n] = usable && view.high >= (4u << n) - 1 ? base : 0;
}

// What a load at CPL 0 has to find so that its outcome is `segment`; nothing if there is no such load. SDM
// Vol. 3A, "Segment Descriptors"; Vol. 2B, "MOV", "POP".
std::optional<KnownLoad> load_of(const SegmentRegister& segment, const cpu::DescriptorTableRegister& gdtr) {
  const x86::Selector selector(segment.selector);
  if (selector.null()) {
    if (segment != SegmentRegister{.selector = segment.selector}) return std::nullopt;
    return KnownLoad{.negated_selector = 0u - segment.selector};
  }
  const uint32_t attributes = segment.attributes;
  const bool loadable = x86::is_present(attributes) && x86::is_readable(attributes) &&
                        (x86::is_conforming(attributes) || selector.rpl() <= x86::dpl(attributes));
  if (!loadable || selector.local() || selector.offset() + 7 > gdtr.limit) return std::nullopt;
  const x86::Descriptor descriptor = x86::make_segment(segment.base, segment.limit, attributes);
  return KnownLoad{.negated_selector = 0u - segment.selector,
                   .descriptor = gdtr.base + selector.offset(),
                   .negated_descriptor = {0u - descriptor.low, 0u - descriptor.high}};
}

}  // namespace

void KnownSegments::learn(const cpu::Core& core, GuestContext& c, unsigned which, unsigned load) {
  const x86::Segment name = kKnownSegments[which];
  const SegmentRegister& segment = core.state.segments[name];
  const bool wanted = has_view(which) || core.flat[name] != 0;
  const auto known = wanted ? load_of(segment, core.state.gdtr) : std::nullopt;
  if (!known) return;
  c.known_loads[which][load] = *known;
  segments_[which][load] = segment;
  current_[which] = load;
  if (has_view(which)) c.known_views[which - kKnownFs][load] = c.extra_segments[which - kKnownFs];
}

void KnownSegments::enter(const cpu::Core& core, GuestContext& c) {
  const cpu::CpuState& state = core.state;
  for (unsigned n = 0; n < x86::kSegmentCount; ++n) c.selectors[n] = state.segments[n].selector;
  update(c.extra_segments[0], core.views[x86::kFs]);
  update(c.extra_segments[1], core.views[x86::kGs]);
  if (gdtr_ != state.gdtr) {
    gdtr_ = state.gdtr;
    c.known_loads = {};
  }
  for (unsigned which = 0; which < kKnownSegments.size(); ++which) {
    const SegmentRegister& segment = state.segments[kKnownSegments[which]];
    const auto is = [&](unsigned load) {
      return c.known_loads[which][load].negated_selector == 0u - segment.selector &&
             segments_[which][load] == segment;
    };
    const unsigned other = 1 - current_[which];
    if (is(current_[which])) continue;
    if (is(other))
      current_[which] = other;
    else
      learn(core, c, which, other);
  }
}

void KnownSegments::leave(GuestContext& c, cpu::Core& core) {
  for (unsigned which = 0; which < kKnownSegments.size(); ++which) {
    if (c.loaded[which] == 0) continue;
    const x86::Segment name = kKnownSegments[which];
    current_[which] = c.loaded[which] - 1;
    core.state.segments[name] = segments_[which][current_[which]];
    cpu::update_data_segment(core, name);
    c.loaded[which] = 0;
  }
}

}  // namespace vitrine::translate
