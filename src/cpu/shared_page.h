// The page that a guest's kernel shares with the monitor for one processor: its interrupt flag, word of an
// interrupt that waits, and the time. Documentation: docs/hypercalls.md. The guest may do to the page
// whatever it likes, and to the memory that it lies in.
#pragma once

#include <cstdint>

namespace vitrine::cpu {

struct Core;

/// VITRINE_CALL_SHARE: from now on the page at `address`. False: that is no page of RAM, and nothing has
/// changed.
[[nodiscard]] bool share_page(Core& core, uint32_t address);

/// An interrupt could be taken, as far as EFLAGS.IF goes. True: by the shared flag it can. Otherwise it waits
/// for VITRINE_CALL_INTERRUPTS from here on (CpuState::interrupt_held), and the guest is told.
[[nodiscard]] bool shared_flag_allows(Core& core);

/// VITRINE_CALL_INTERRUPTS and VITRINE_CALL_HALT: nothing waits any more but for the flags.
void release_interrupt(Core& core);
void set_shared_flag(Core& core);

/// Writes the time into the page, if there is one.
void update_shared_time(Core& core, uint64_t now);

}  // namespace vitrine::cpu
