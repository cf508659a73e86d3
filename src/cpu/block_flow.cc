// The rare ends of blocks and instructions: see dispatch.h and block_flow.h.
#include "cpu/block_flow.h"

#include "cpu/mode.h"

namespace vitrine::cpu {
namespace {

// Of the running block's instructions, those from `instruction` on have not been executed after all.
void give_back(Core& core, const Instruction* instruction) {
  core.remaining += core.block->count - (instruction - core.block->code);
}

}  // namespace

void leave_before(Core& core, const Instruction* instruction) {
  give_back(core, instruction);
  return leave_to(core, core.instruction_eip(*instruction));
}

void leave_fault(Core& core, const Instruction* instruction) {
  core.faulted = true;
  return leave_before(core, instruction);
}

void leave_ending(Core& core, const Instruction* instruction, bool completed) {
  core.last_operation = instruction->operation;
  core.flags_from_state();
  give_back(core, instruction + (completed ? 1 : 0));
  if (completed) {
    ++core.counters.instructions[static_cast<size_t>(instruction->operation)];
  } else {
    core.faulted = true;
    core.state.eip = core.restart_eip;
  }
  core.block = nullptr;
}

void run_block(Core& core, Block& block) {
  core.last_operation = Operation::Invalid;
  core.repeating = false;
  core.state.interrupt_shadow = false;
  core.remaining -= block.count;
  core.block = &block;
  core.current = block.code;
#if VITRINE_TAIL_CALLS
  core.current->handler(core, core.current);
#else
  while (core.block != nullptr) core.current->handler(core, core.current);
#endif
}

void fall_through(Core& core, const Instruction* instruction) {
  return follow(core, instruction, 0, core.instruction_eip(*instruction));
}

void fall_out(Core& core, const Instruction* instruction) {
  return leave_to(core, core.instruction_eip(*instruction));
}

void refuse_block(Core& core, const Block* block, uint32_t eip) {
  // A link to what has been dropped since: the dispatcher finds another block for it.
  if (!block->live() && core.block->live()) {
    for (Block*& link : core.block->links) {
      if (link != block) continue;
      link = nullptr;
      core.link_slot = &link;
    }
  }
  return leave_to(core, eip);
}

void follow_unlinked(Core& core, const Instruction* instruction, unsigned link, uint32_t eip) {
  const bool linkable = (instruction->links >> link & 1) != 0;
  const JumpCacheEntry& entry = core.code->jump_entry(eip);
  if (entry.eip == eip && entry.context == core.code_context && entry.block->live()) {
    if (linkable && entry.block->second_page == nullptr) core.block->links[link] = entry.block;
    return enter_block(core, entry.block, eip);
  }
  // The block may have been dropped by its own last instruction.
  if (linkable && core.block->live()) core.link_slot = &core.block->links[link];
  return leave_to(core, eip);
}

}  // namespace vitrine::cpu
