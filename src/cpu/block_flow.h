// From block to block: what branch handlers end in. See code_cache.h for what blocks are.
#pragma once

#include "cpu/code_cache.h"
#include "cpu/core.h"
#include "cpu/dispatch.h"

namespace vitrine::cpu {

/// Handler behind the current instruction of a block that must be left: state as before that instruction,
/// back to the dispatcher.
void leave_before(Core& core, const Instruction* instruction);
/// Handler behind the last instruction of a block without a branch.
void fall_through(Core& core, const Instruction* instruction);
/// The same for blocks of kModeSingle.
void fall_out(Core& core, const Instruction* instruction);

/// Back to the dispatcher, which finds the block for `eip`. Flags stay in core.flags.
[[gnu::always_inline]] inline void leave_to(Core& core, uint32_t eip) {
  core.state.eip = eip;
  core.block = nullptr;
}

/// Instead of entering a block: it does not fit, it has been dropped, or something needs the dispatcher.
void refuse_block(Core& core, const Block* block, uint32_t eip);

/// Runs a block whose first byte is at `eip`; or leaves, when something needs the dispatcher.
[[gnu::always_inline]] inline void enter_block(Core& core, Block* block, uint32_t eip) {
  const bool attention = core.attention.load(std::memory_order_relaxed) != 0;
  const bool beyond = eip + block->last_byte > core.cs_limit;
  if (attention || beyond || core.remaining < block->count) [[unlikely]]
    return refuse_block(core, block, eip);
  core.state.eip = eip;
  core.remaining -= block->count;
  core.block = block;
#if VITRINE_TAIL_CALLS
  const Instruction* first = block->code;
  return first->handler(core, first);
#else
  core.current = block->code;
#endif
}

/// From the dispatcher: runs a block whose first byte is at core.state.eip, and what it leads to. The budget
/// may go below zero.
void run_block(Core& core, Block& block);

/// To any address: indirect jumps, returns.
[[gnu::always_inline]] inline void go_to(Core& core, uint32_t eip) {
  const JumpCacheEntry& entry = core.code->jump_entry(eip);
  if (entry.eip == eip && entry.context == core.code_context) [[likely]]
    return enter_block(core, entry.block, eip);
  return leave_to(core, eip);
}

/// A direct branch whose link is not made yet, or leads to another page.
void follow_unlinked(Core& core, const Instruction* instruction, unsigned link, uint32_t eip);

/// Along a direct branch that always goes the same distance: `link` is 0 (not taken) or 1 (taken).
[[gnu::always_inline]] inline void follow(Core& core, const Instruction* instruction, unsigned link,
                                          uint32_t eip) {
  Block* const successor = core.block->links[link];
  if (successor != nullptr) [[likely]]
    return enter_block(core, successor, eip);
  return follow_unlinked(core, instruction, link, eip);
}

}  // namespace vitrine::cpu
