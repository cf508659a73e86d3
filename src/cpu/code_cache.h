// Decoded code: blocks of instructions, found by the host address of their first byte and by mode.
//
// A block lies in one page of guest memory (an instruction that straddles two pages is a block of its own
// that depends on both). Pages with blocks are watched (memory::Watch::Code); a write drops the blocks whose
// bytes it touches, or all of the page when it is not known which bytes. The block that runs just then is not
// freed but made to leave behind the current instruction. Blocks link to successors in their own page
// directly: whatever maps one maps the other. Everything else goes through the jump cache, which is valid for
// one Core::code_context. A page stays watched after its blocks are gone (another processor may have some);
// the next write to it by a processor ends that. See docs/interpreter.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "cpu/core.h"
#include "cpu/instruction.h"

namespace vitrine::cpu {

/// What else decides how bytes decode and how blocks are run.
enum BlockMode : uint8_t {
  kModeCode32 = 1,   ///< CS.D
  kModeStack32 = 2,  ///< SS.B
  kModeSingle = 4,   ///< One instruction, then back to the dispatcher.
};

struct Block {
  const uint8_t* host = nullptr;         ///< First byte, in the host's memory; null when not cached.
  const uint8_t* second_page = nullptr;  ///< Host page of the rest, for an instruction that straddles pages.
  std::array<Block*, 2> links{};         ///< Successors in the same page: not taken and taken.
  Block* next_in_bucket = nullptr;
  uint32_t mode = 0;
  uint32_t count = 0;                   ///< Instructions.
  uint32_t last_byte = 0;               ///< Length of the code in bytes, less one.
  bool live = true;                     ///< In the cache.
  std::unique_ptr<Instruction[]> code;  ///< `count`, and one that goes on behind them.
};

struct JumpCacheEntry {
  uint64_t context = 0;
  uint32_t eip = 0;
  Block* block = nullptr;
};

class CodeCache {
 public:
  explicit CodeCache(memory::PhysicalMap& memory) : memory_(memory) {}
  ~CodeCache();

  static constexpr unsigned kMaximumBlock = 64;  ///< Instructions in a block.
  static constexpr unsigned kMaximumInstructions =
      1 << 20;  ///< In the cache; then it starts anew. About 50 MiB.

  [[nodiscard]] Block* find(const uint8_t* host, uint32_t mode) const;
  /// Takes over a block and watches its pages. `owner` and `page` say where they are; `second_owner` may be
  /// null.
  struct Place {
    memory::RamBlock* owner;
    uint64_t page;
  };
  Block* insert(std::unique_ptr<Block> block, Place first, Place second);

  /// Drops what was made from bytes offset…offset+size-1 of a page. Returns whether anything was.
  bool drop(memory::RamBlock& owner, uint64_t page, unsigned offset, unsigned size);
  void drop_block(Block* block);
  void drop_all();
  [[nodiscard]] bool has_page(const memory::RamBlock& owner, uint64_t page) const;
  /// Frees dropped blocks. None of them may be running.
  void collect() {
    if (!dropped_.empty()) dropped_.clear();
  }
  [[nodiscard]] bool full() const { return instructions_ >= kMaximumInstructions; }

  // The jump cache.
  static constexpr unsigned kJumpEntries = 2048;
  [[nodiscard]] JumpCacheEntry& jump_entry(uint32_t eip) {
    return jumps_[(eip ^ eip >> 11) & (kJumpEntries - 1)];
  }
  void flush_jumps() { jumps_.fill({}); }

 private:
  struct Page {
    memory::RamBlock* owner = nullptr;
    uint64_t page = 0;
    std::array<uint64_t, 4> lines{};  ///< One bit for each 16 bytes that hold decoded code.
    std::vector<Block*> blocks;
  };

  [[nodiscard]] static size_t bucket(const uint8_t* host, uint32_t mode) {
    const auto key = reinterpret_cast<uintptr_t>(host);
    return (key ^ key >> 13 ^ mode << 9) & (kBuckets - 1);
  }
  void add_to_page(Place place, Block* block, unsigned offset, unsigned size);
  void retire(Block* block);
  void forget_in_page(const uint8_t* host_page, Block* block);

  static constexpr size_t kBuckets = 1 << 15;
  memory::PhysicalMap& memory_;
  std::array<JumpCacheEntry, kJumpEntries> jumps_{};
  std::vector<Block*> buckets_ = std::vector<Block*>(kBuckets);
  std::unordered_map<Block*, std::unique_ptr<Block>> blocks_;
  std::unordered_map<const uint8_t*, Page> pages_;  // by host page
  std::vector<std::unique_ptr<Block>> dropped_;
  size_t instructions_ = 0;
};

}  // namespace vitrine::cpu
