// The host's memory behind a block: how much there is, and giving it back.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "memory/ram_block.h"

namespace vitrine::memory {

/// Gives the host memory of these pages back: they read as zeros, until somebody writes to them. Whoever has
/// pointers to them keeps them. Watchers are told by the caller, before (PhysicalMap::note_write).
[[nodiscard]] Result<void> give_up_pages(RamBlock& block, uint64_t first_page, uint64_t pages);

/// Bytes of host memory (or swap) that the block takes now.
[[nodiscard]] uint64_t resident_bytes(const RamBlock& block);

}  // namespace vitrine::memory
