// Finding or making the block for the instruction at CS:EIP.
#pragma once

#include <memory>

#include "cpu/code_cache.h"
#include "cpu/core.h"
#include "cpu/decoder.h"

namespace vitrine::cpu {

enum class BlockSize : uint8_t { Full, OneInstruction };

class Fetcher {
 public:
  explicit Fetcher(const CpuModel& model) : decoder_(model) {}

  /// The block that starts at state.eip in the current mode. Null: core.fault is what the fetch raises.
  [[nodiscard]] Block* block(Core& core, BlockSize size);

 private:
  struct Window;

  std::unique_ptr<Block> decode_within_page(Core& core, const uint8_t* host, uint32_t linear,
                                            uint32_t mode) const;
  Block* across_pages(Core& core, const uint8_t* host, uint32_t linear, uint32_t mode);
  Block* uncached(Core& core, uint32_t linear, uint32_t mode);
  Block* keep(Core& core, std::unique_ptr<Block> block, uint32_t linear);

  Decoder decoder_;
  std::unique_ptr<Block> scratch_;  // A block that cannot be cached: code in a device's memory.
};

}  // namespace vitrine::cpu
