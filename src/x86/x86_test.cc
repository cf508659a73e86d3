// Facts of the manual, checked against examples worked by hand.
#include <gtest/gtest.h>

#include "x86/debug_registers.h"
#include "x86/descriptors.h"
#include "x86/page_entries.h"
#include "x86/tss.h"

namespace vitrine::x86 {
namespace {

// The flat descriptors that every tutorial prints.
static_assert(make_segment(0, 0xffffffff, kCodeSegment | kFlat32).raw() == 0x00cf9a000000ffff);
static_assert(make_segment(0, 0xffffffff, kDataSegment | kFlat32).raw() == 0x00cf92000000ffff);
static_assert(Descriptor(0x00cf9a000000ffff).limit() == 0xffffffff);
static_assert(Descriptor(0x12409a345678ffff).base() == 0x12345678);
static_assert(Descriptor(0x12409a345678ffff).limit() == 0xffff);
static_assert(is_code(Descriptor(0x00cf9a000000ffff).attributes()));
static_assert(!is_writable(Descriptor(0x00cf9a000000ffff).attributes()));
static_assert(is_readable(Descriptor(0x00cf9a000000ffff).attributes()));
static_assert(!is_readable(kCodeSegment & ~kAttributeReadable));
static_assert(is_expand_down(kDataSegment | kAttributeExpandDown) &&
              !is_conforming(kDataSegment | kAttributeExpandDown));
static_assert(dpl(Descriptor(0x00cffa000000ffff).attributes()) == 3);

static_assert(make_gate(SystemType::InterruptGate32, Selector(8), 0xc0101234, 0).raw() == 0xc0108e0000081234);
static_assert(make_gate(SystemType::TrapGate32, Selector(0x60), 0xc0101234, 3).raw() == 0xc010ef0000601234);
static_assert(make_gate(SystemType::CallGate32, Selector(8), 0x12345678, 3, 5).parameter_count() == 5);
static_assert(make_gate(SystemType::CallGate32, Selector(8), 0x12345678, 3, 5).gate_offset() == 0x12345678);
static_assert(is_available_tss(0x8900) && !is_busy_tss(0x8900) && is_busy_tss(0x8b00) &&
              is_32bit_tss(0x8b00));
static_assert(is_busy_tss(0x8300) && !is_32bit_tss(0x8300) && !is_available_tss(0x9900));

static_assert(Selector(3).null() && !Selector(4).null() && !Selector(8).null());
static_assert(Selector(0x2f).local() && Selector(0x2f).rpl() == 3 && Selector(0x2f).offset() == 0x28);
static_assert(selector_error(Selector(0x2b)) == 0x28 &&
              selector_error(Selector(0x2f), EventSource::External) == 0x2d);
static_assert(gate_error(0x80) == 0x402 && gate_error(13, EventSource::External) == 0x6b);

// PSE-36 with 36 address bits: bits 13–16 are address bits 32–35, 17–21 are reserved. Without it, 13–21.
static_assert(legacy_large_reserved(36) == 0x003e0000 && legacy_large_reserved(32) == 0x003fe000);
static_assert(legacy_large_reserved(40) == 0x00200000);
static_assert(legacy_large_frame(0x00c0e083) == 0x7'00c00000);
static_assert(pae_reserved(36) == 0x7ffffff000000000);

static_assert(breakpoint_enabled(0x402, 0) && !breakpoint_enabled(0x402, 1));
static_assert(breakpoint_kind(0x000d0402, 0) == BreakpointKind::Write &&
              breakpoint_length(0x000d0402, 0) == 4);

static_assert(tss32::kGpr + 8 * 4 == tss32::kSegments && tss32::kSegments + 6 * 4 == tss32::kLdt);
static_assert(tss16::kGpr + 8 * 2 == tss16::kSegments && tss16::kSegments + 4 * 2 == tss16::kLdt);

TEST(Descriptors, PackAndUnpackAgree) {
  for (const uint32_t base : {0u, 0x12345678u, 0xffffffffu, 0x00ff0000u}) {
    for (const uint32_t limit : {0u, 0xffffu, 0xfffffu}) {
      const Descriptor descriptor = make_segment(base, limit, kDataSegment);
      EXPECT_EQ(descriptor.base(), base);
      EXPECT_EQ(descriptor.limit(), limit);
      EXPECT_EQ(descriptor.attributes(), kDataSegment);
    }
  }
}

}  // namespace
}  // namespace vitrine::x86
