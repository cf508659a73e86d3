// Which pages of two blocks of guest memory have anything in them, without touching the others.
#pragma once

#include <cstdint>
#include <functional>

#include "memory/ram_block.h"

namespace vitrine::lockstep {

/// Calls `visit` with every page, ascending, that either of two blocks of one size has memory for. The others
/// are zeros in both.
void for_each_used_page(const memory::RamBlock& a, const memory::RamBlock& b,
                        const std::function<void(uint64_t page)>& visit);

}  // namespace vitrine::lockstep
