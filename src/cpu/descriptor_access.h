// Descriptor tables as the processor reads them: limit checks, accessed and busy bits, and what goes into the
// hidden part of a segment register. SDM Vol. 3A, "Protected-Mode Memory Management".
#pragma once

#include <cstdint>
#include <optional>

#include "cpu/core.h"
#include "x86/descriptors.h"

namespace vitrine::cpu {

/// Where the descriptor lies, or nothing when it is outside its table (or there is no LDT).
[[nodiscard]] std::optional<uint32_t> descriptor_address(const Core& core, x86::Selector selector);

/// core.raise with a selector's error code.
bool raise_selector(Core& core, x86::Vector vector, x86::Selector selector,
                    x86::EventSource source = x86::EventSource::Program);

/// Reads a descriptor; outside its table: `vector` with the selector's error code.
[[nodiscard]] bool read_descriptor(Core& core, x86::Selector selector, x86::Descriptor& descriptor,
                                   x86::Vector vector = x86::Vector::GeneralProtection,
                                   x86::EventSource source = x86::EventSource::Program);

/// Sets the accessed bit, in the table and in `descriptor`, unless it is set already. `descriptor` is code or
/// data.
[[nodiscard]] bool mark_accessed(Core& core, x86::Selector selector, x86::Descriptor& descriptor);

enum class TssBusy : uint8_t { Clear, Set };
/// Changes the busy bit of a TSS descriptor in the GDT, and in `descriptor`.
[[nodiscard]] bool set_tss_busy(Core& core, x86::Selector selector, x86::Descriptor& descriptor,
                                TssBusy busy);

/// A segment register that holds this descriptor.
[[nodiscard]] SegmentRegister segment_from(x86::Selector selector, x86::Descriptor descriptor);
/// A segment register as virtual-8086 mode loads it.
[[nodiscard]] SegmentRegister segment_for_v86(uint16_t selector);

/// Whether `size` bytes from `offset` lie within the segment's limit. The type is not looked at, but for
/// expand-down.
[[nodiscard]] bool within_limit(const SegmentRegister& segment, uint32_t offset, unsigned size);

/// Whether an instruction pointer lies within a code segment.
[[nodiscard]] inline bool within_code(const SegmentRegister& code, uint32_t eip) {
  return eip <= code.limit;
}

/// Takes data segments away that the new, outer CPL may not use. SDM Vol. 2, "RET" and "IRET".
void drop_inner_segments(Core& core);

}  // namespace vitrine::cpu
