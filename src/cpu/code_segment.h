// What far transfers share: checking a code segment, taking an inner stack from the TSS.
#pragma once

#include "cpu/descriptor_access.h"

namespace vitrine::cpu {

/// A code segment about to be entered.
struct CodeTarget {
  x86::Selector selector;
  x86::Descriptor descriptor;
};

/// Checks `eip` against the segment's limit (#GP(0), with EXT from `source`) and marks the segment accessed.
/// After this enter_code() cannot fail.
[[nodiscard]] bool prepare_code(Core& core, CodeTarget& target, uint32_t eip,
                                x86::EventSource source = x86::EventSource::Program);

/// Loads CS with `cpl` as its RPL, CPL and EIP. update_mode() is the caller's.
void enter_code(Core& core, const CodeTarget& target, uint8_t cpl, uint32_t eip);

/// A stack for an inner privilege level, with its descriptor checked and marked accessed.
struct InnerStack {
  SegmentRegister ss;
  uint32_t esp = 0;
};
/// SDM Vol. 2, "CALL", "INT n": reads the stack of level `level` from the TSS. #TS and #SS as there.
[[nodiscard]] bool find_inner_stack(Core& core, uint8_t level, x86::EventSource source, InnerStack& stack);

/// Checks an outer stack segment for a return to `level`: #GP and #SS. SDM Vol. 2, "RET", "IRET".
[[nodiscard]] bool find_outer_stack(Core& core, x86::Selector selector, uint8_t level, SegmentRegister& ss);

/// Checks the code segment of a far return or IRET: RPL against CPL and DPL, type, presence.
[[nodiscard]] bool find_return_code(Core& core, x86::Selector selector, CodeTarget& target);

}  // namespace vitrine::cpu
