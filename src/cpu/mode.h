// What follows from the control registers, EFLAGS and the segment registers, kept ready for the fast paths.
#pragma once

#include "cpu/core.h"

namespace vitrine::cpu {

/// To be called after any change of CR0, CR4, EFER, EFLAGS.VM/AC/TF/IF, a segment register (its hidden part
/// too), CPL or DR7, before the next memory access that depends on it. Cheap. It does not flush the TLB: see
/// flush_tlb().
void update_mode(Core& core);

/// The same when nothing but DS, ES, FS or GS has been loaded.
void update_data_segment(Core& core, x86::Segment segment);

/// Forgets all translations (SDM Vol. 3A, "Invalidation of TLBs and Paging-Structure Caches"): global ones
/// too. For changes of CR0.PG/WP, CR4.PSE/PAE/PGE/SMEP, EFER.NXE.
void flush_tlb(Core& core);
/// A load of CR3: global translations stay when CR4.PGE is set.
void flush_tlb_non_global(Core& core);
/// INVLPG, or a page fault at this address.
void flush_tlb_page(Core& core, uint32_t linear);

/// The same bytes may be found elsewhere, or dropped: the jump cache starts anew. Part of all of the above.
void new_mapping(Core& core);

}  // namespace vitrine::cpu
