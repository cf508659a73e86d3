// The parts of Core that are not worth inlining.
#include "cpu/core.h"

#include "cpu/block_flow.h"
#include "cpu/code_cache.h"
#include "cpu/mode.h"

namespace vitrine::cpu {
namespace {

// Put in the place of an instruction's handler: leaves before it, and gives it its handler back.
void leave_once(Core& core, const Instruction* instruction) {
  const_cast<Instruction*>(instruction)->handler = core.displaced_handler;
  core.displaced = nullptr;
  return leave_before(core, instruction);
}

}  // namespace

Core::Core(const CoreEnvironment& environment)
    : env(environment), tlbs(std::make_unique<Tlb>()), code(std::make_unique<CodeCache>(environment.memory)) {
  update_mode(*this);
}

Core::~Core() = default;

void Core::leave_after_current(Attention reason) {
  attention.fetch_or(reason, std::memory_order_relaxed);
  if (block == nullptr || displaced != nullptr) return;
  const auto behind = static_cast<size_t>(current - block->code) + 1;
  if (behind > block->count || block->code[behind].handler == &leave_before) return;
  displaced = &block->code[behind];
  displaced_handler = displaced->handler;
  displaced->handler = &leave_once;
}

void Core::restore_displaced() {
  if (displaced != nullptr && displaced->handler == &leave_once) displaced->handler = displaced_handler;
  displaced = nullptr;
}

uint64_t Core::executed() const {
  const auto left = static_cast<uint64_t>(remaining);
  const uint64_t waiting = block == nullptr ? 0 : block->count - static_cast<uint64_t>(current - block->code);
  return executed_base + budget - left - waiting;
}

}  // namespace vitrine::cpu
