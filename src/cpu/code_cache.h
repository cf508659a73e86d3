// Decoded code: blocks of instructions, found by the host address of their first byte and by mode.
//
// A block lies in one page of guest memory (an instruction that straddles two pages is a block of its own
// that depends on both). Pages with blocks are watched (memory::Watch::Code), and a map of each says which
// bytes were decoded: a write drops the blocks whose bytes it touches and nothing else. Blocks link to
// successors in their own page directly: whatever maps one maps the other. Everything else goes through the
// jump cache, which is valid for one Core::code_context.
//
// A dropped block is neither freed nor unlinked at once. It is made to leave behind the current instruction,
// if it runs, and not to be entered again (Block::last_byte), so that links and jump cache may still name it;
// collect() frees many together. See docs/interpreter.md.
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
  static constexpr uint64_t kDropped = uint64_t{1} << 32;  ///< In last_byte: beyond every segment's limit.

  const uint8_t* host = nullptr;         ///< First byte, in the host's memory; null when not cached.
  const uint8_t* second_page = nullptr;  ///< Host page of the rest, for an instruction that straddles pages.
  std::array<Block*, 2> links{};         ///< Successors in the same page: not taken and taken.
  Block* next_in_bucket = nullptr;
  uint32_t mode = 0;
  uint32_t count = 0;           ///< Instructions.
  uint64_t last_byte = 0;       ///< Length of the code in bytes, less one; or kDropped.
  Instruction* code = nullptr;  ///< `count`, and one that goes on behind them: in the same allocation.

  [[nodiscard]] bool live() const { return last_byte < kDropped; }
};

struct BlockDeleter {
  void operator()(Block* block) const;
};
using BlockPointer = std::unique_ptr<Block, BlockDeleter>;
/// A block with room for `count` instructions and one behind them, not yet set.
[[nodiscard]] BlockPointer make_block(unsigned count);

struct JumpCacheEntry {
  uint64_t context = 0;
  uint32_t eip = 0;
  Block* block = nullptr;
};

/// What a write means for the cache.
enum class WriteEffect : uint8_t {
  Elsewhere,  ///< No code is known of the page (any more).
  Beside,     ///< There is, or was until just now, but not in these bytes.
  Dropped,    ///< Blocks were dropped.
};

class CodeCache {
 public:
  explicit CodeCache(memory::PhysicalMap& memory) : memory_(memory) {}
  ~CodeCache();

  static constexpr unsigned kMaximumBlock = 64;  ///< Instructions in a block.
  static constexpr unsigned kMaximumInstructions =
      1 << 20;  ///< In the cache; then it starts anew. About 50 MiB.

  [[nodiscard]] Block* find(const uint8_t* host, uint32_t mode) const;
  /// Takes over a block and watches its pages. `owner` and `page` say where they are; `second.owner` may be
  /// null.
  struct Place {
    memory::RamBlock* owner;
    uint64_t page;
  };
  Block* insert(BlockPointer block, Place first, Place second);

  /// Drops what was made from bytes offset…offset+size-1 of a page.
  WriteEffect drop(const memory::RamBlock& owner, uint64_t page, unsigned offset, unsigned size);
  void drop_block(Block* block);
  void drop_all();
  /// Where a host page with code (or one that had some until just now) is; `owner` is null for others.
  [[nodiscard]] Place place_of(const uint8_t* host_page);

  /// Frees dropped blocks once there are many. None of them may be running.
  void collect() {
    if (dropped_size_ >= kMaximumDropped) free_dropped();
  }
  [[nodiscard]] bool full() const { return size_ >= kMaximumInstructions; }

  // The jump cache.
  static constexpr unsigned kJumpEntries = 2048;
  [[nodiscard]] JumpCacheEntry& jump_entry(uint32_t eip) {
    return jumps_[(eip ^ eip >> 11) & (kJumpEntries - 1)];
  }
  void flush_jumps() { jumps_.fill({}); }

 private:
  /// A block's bytes within one page: begin…end-1.
  struct Part {
    Block* block;
    uint16_t begin, end;
  };
  struct Page {
    Place place{};
    unsigned patience = 0;            ///< Writes that it stays watched for without a block in it.
    bool has_stale_links = false;     ///< Some of its blocks have been dropped since the last collection.
    std::array<uint64_t, 64> code{};  ///< One bit for each byte: whether it has been decoded.
    std::vector<Part> parts;
  };

  [[nodiscard]] static size_t bucket(const uint8_t* host, uint32_t mode) {
    const auto key = reinterpret_cast<uintptr_t>(host);
    return (key ^ key >> 13 ^ mode << 9) & (kBuckets - 1);
  }
  [[nodiscard]] Page* find_page(const uint8_t* host_page);
  void add_to_page(Place place, const Part& part);
  void retire(Block* block);
  void forget_in_page(const uint8_t* host_page, const Block* block);
  void free_dropped();

  static constexpr size_t kBuckets = 1 << 17;
  static constexpr size_t kMaximumDropped = 1 << 13;  ///< Counted like size_.
  static constexpr unsigned kPatience = 64;
  static constexpr unsigned kBlockSize = 4, kPageSizeInInstructions = 16;  ///< What else counts in size_.

  memory::PhysicalMap& memory_;
  std::array<JumpCacheEntry, kJumpEntries> jumps_{};
  std::vector<Block*> buckets_ = std::vector<Block*>(kBuckets);
  std::unordered_map<const uint8_t*, Page> pages_;  // by host page
  const uint8_t* last_host_page_ = nullptr;         // Of what find_page() has found.
  Page* last_page_ = nullptr;
  std::vector<BlockPointer> dropped_;
  size_t size_ = 0;  // in instructions
  size_t dropped_size_ = 0;
};

}  // namespace vitrine::cpu
