// Finding or making the block for the instruction at CS:EIP.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "cpu/code_cache.h"
#include "cpu/core.h"
#include "cpu/decoder.h"

namespace vitrine::cpu {

enum class BlockSize : uint8_t { Full, OneInstruction };

/// A block of one instruction that goes back to the dispatcher behind it. Not for near branches, which go on
/// by themselves.
[[nodiscard]] BlockPointer make_single_block(Instruction instruction);

class Fetcher {
 public:
  explicit Fetcher(const CpuModel& model) : decoder_(model) {}

  /// The block that starts at state.eip in the current mode. Null: core.fault is what the fetch raises.
  [[nodiscard]] Block* block(Core& core, BlockSize size);

 private:
  struct Window;

  BlockPointer decode_within_page(Core& core, const uint8_t* host, uint32_t linear, uint32_t mode);
  Block* across_pages(Core& core, const uint8_t* host, uint32_t linear, uint32_t mode);
  Block* uncached(Core& core, uint32_t linear, uint32_t mode);
  Block* keep(Core& core, BlockPointer block, uint32_t linear);

  Decoder decoder_;
  std::array<Instruction, CodeCache::kMaximumBlock> decoded_{};  // Of the block being made.
  BlockPointer scratch_;  // A block that cannot be cached: code in a device's memory.
};

}  // namespace vitrine::cpu
