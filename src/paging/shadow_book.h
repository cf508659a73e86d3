// The books of one window: for each of its 2^20 virtual pages, what is mapped there. Sparse: a leaf holds 64
// pages (256 KiB of addresses) and exists only where something was filled.
//
//   word of a page   63 ───────────────── 12 │ 11 ────── 4 │  3  │  2   │ 1 ─ 0
//                    page within the block   │ block       │large│global│ state
//
// Two neighbouring pages share one host mapping exactly if the second word is the first plus one page, flags
// aside; so the books also know how many host mappings the window uses. Writable pages are linked into lists
// by page of a block (ReverseMap). Knows nothing of the host's calls, which are ShadowWindow's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace vitrine::paging {

enum class ShadowState : uint8_t {
  Empty,     ///< The reservation shows: no rights.
  Retained,  ///< Dropped: without rights, but the host mapping is kept, since giving rights back is cheap.
  Read,
  ReadWrite,
};

/// See the diagram above. Zero for Empty.
struct ShadowWord {
  static constexpr unsigned kPageShiftInWord = 12;
  static constexpr uint64_t kGlobal = 1u << 2;
  static constexpr uint64_t kLarge = 1u << 3;  ///< Derived from an entry for a 2 or 4 MiB page.
  static constexpr uint64_t kFlags = kGlobal | kLarge;
  static constexpr uint64_t kNextPage = uint64_t{1} << kPageShiftInWord;

  uint64_t value = 0;

  [[nodiscard]] static constexpr ShadowWord make(unsigned block, uint64_t page, ShadowState state,
                                                 uint64_t flags) {
    return {page << kPageShiftInWord | uint64_t{block} << 4 | flags | static_cast<uint64_t>(state)};
  }
  [[nodiscard]] constexpr ShadowState state() const { return static_cast<ShadowState>(value & 3); }
  [[nodiscard]] constexpr bool live() const { return (value & 2) != 0; }
  [[nodiscard]] constexpr unsigned block() const { return static_cast<unsigned>(value >> 4 & 0xff); }
  [[nodiscard]] constexpr uint64_t page() const { return value >> kPageShiftInWord; }
  [[nodiscard]] constexpr bool global() const { return (value & kGlobal) != 0; }
  [[nodiscard]] constexpr bool large() const { return (value & kLarge) != 0; }
  [[nodiscard]] constexpr ShadowWord with(ShadowState state) const {
    return {(value & ~uint64_t{3}) | static_cast<uint64_t>(state)};
  }
  [[nodiscard]] constexpr ShadowWord plus(uint64_t pages) const { return {value + pages * kNextPage}; }
  /// Both show the same page of the same block, or neither shows any.
  [[nodiscard]] constexpr bool same_target(ShadowWord other) const { return (value ^ other.value) >> 4 == 0; }
  /// Whether a page with this word and the page after it, with word `next`, are one mapping of the host.
  [[nodiscard]] constexpr bool joins(ShadowWord next) const {
    if (value == 0 || next.value == 0) return value == next.value;
    return (next.value & ~kFlags) == (value & ~kFlags) + kNextPage;
  }
};

struct ShadowRecord {
  ShadowWord word;
  // Links of ReverseMap, meaningful while ReadWrite.
  uint32_t next = 0;
  uint32_t previous = 0;
};

struct ShadowLeaf {
  static constexpr uint32_t kPages = 64;
  std::array<ShadowRecord, kPages> records{};
  uint32_t used = 0;     ///< Records that are not Empty.
  uint32_t live = 0;     ///< Read or ReadWrite.
  uint64_t fetched = 0;  ///< One bit a page: code was looked up there.
};

/// Leaves for the books of all windows, used again and again: filling takes no memory from the allocator once
/// the pool has grown.
class ShadowLeafPool {
 public:
  [[nodiscard]] ShadowLeaf* take();
  void give(ShadowLeaf* leaf);
  [[nodiscard]] uint64_t in_use() const { return in_use_; }

 private:
  static constexpr size_t kSlab = 64;
  std::vector<std::unique_ptr<std::array<ShadowLeaf, kSlab>>> slabs_;
  std::vector<ShadowLeaf*> free_;
  uint64_t in_use_ = 0;
};

class ShadowBook {
 public:
  static constexpr uint32_t kPages = 1u << 20;

  explicit ShadowBook(ShadowLeafPool& pool) : pool_(pool) {}
  ~ShadowBook() {
    clear_fetched(0, kPages);
    clear(0, kPages);
  }
  ShadowBook(const ShadowBook&) = delete;
  ShadowBook& operator=(const ShadowBook&) = delete;

  [[nodiscard]] ShadowWord word(uint32_t page) const {
    const ShadowLeaf* leaf = find(page);
    return leaf == nullptr ? ShadowWord{} : leaf->records[page % ShadowLeaf::kPages].word;
  }
  /// The record of a page that is not Empty.
  [[nodiscard]] ShadowRecord& record(uint32_t page) { return find(page)->records[page % ShadowLeaf::kPages]; }
  /// Changes a page's word; links are the caller's business.
  void set(uint32_t page, ShadowWord word);
  /// Gives pages that are Empty the words from `word` on, and calls `visit(page, record)` for each.
  template <typename Visit>
  void set_run(uint32_t first, uint32_t count, ShadowWord word, Visit visit);
  /// Makes pages Empty and gives leaves back. Nothing in the range may be linked any more.
  void clear(uint32_t first, uint32_t count);

  /// Code has been looked up at a page, whether it is live or not.
  void set_fetched(uint32_t page);
  /// Forgets that.
  void clear_fetched(uint32_t first, uint32_t count);

  /// How many pages are live.
  [[nodiscard]] uint32_t live() const;
  /// The first page at or after `from` and before `end` that is live, or `end`.
  [[nodiscard]] uint32_t next_live(uint32_t from, uint32_t end) const;
  /// The same for pages that are live or where code was looked up: that the guest's tables gave us.
  [[nodiscard]] uint32_t next_given(uint32_t from, uint32_t end) const;
  [[nodiscard]] bool given(uint32_t page) const { return next_given(page, page + 1) == page; }
  /// The same for pages that are not Empty.
  [[nodiscard]] uint32_t next_used(uint32_t from, uint32_t end) const;
  /// The first page of the first leaf that lies in the range as a whole and has pages, of which none is live;
  /// or `end`.
  [[nodiscard]] uint32_t next_idle(uint32_t from, uint32_t end) const;

  /// Host mappings that pages from `from` on and before `end` are in, the reservation's own left out; or
  /// `most`, once there are so many.
  [[nodiscard]] uint32_t mappings(uint32_t from, uint32_t end, uint32_t most) const;
  /// Places among first−1 … first+count where one host mapping ends and another begins.
  [[nodiscard]] uint32_t joints(uint32_t first, uint32_t count) const;

 private:
  static constexpr uint32_t kLeavesInBranch = 64;
  static constexpr uint32_t kPagesInBranch = kLeavesInBranch * ShadowLeaf::kPages;
  struct Branch {
    std::array<ShadowLeaf*, kLeavesInBranch> leaves{};
    uint64_t used = 0;  // one bit a leaf
    uint64_t live = 0;
    uint64_t fetched = 0;
  };

  [[nodiscard]] ShadowLeaf* find(uint32_t page) const {
    const Branch* branch = branches_[page / kPagesInBranch].get();
    return branch == nullptr ? nullptr : branch->leaves[page / ShadowLeaf::kPages % kLeavesInBranch];
  }
  /// The first page from `from` on and before `end` that is `wanted`, in leaves that `leaves` says of a
  /// branch; or `end`.
  template <typename Leaves, typename Wanted>
  [[nodiscard]] uint32_t next(Leaves leaves, uint32_t from, uint32_t end, Wanted wanted) const;
  [[nodiscard]] Branch& branch_of(uint32_t page);
  [[nodiscard]] ShadowLeaf& leaf_of(Branch& branch, uint32_t page);
  void release(Branch& branch, uint32_t index);
  [[nodiscard]] ShadowLeaf& leaf_for_run(uint32_t page, uint32_t count, ShadowWord word);

  ShadowLeafPool& pool_;
  std::array<std::unique_ptr<Branch>, kPages / kPagesInBranch> branches_;
};

template <typename Visit>
void ShadowBook::set_run(uint32_t first, uint32_t count, ShadowWord word, Visit visit) {
  while (count > 0) {
    const uint32_t start = first % ShadowLeaf::kPages;
    const uint32_t here = count < ShadowLeaf::kPages - start ? count : ShadowLeaf::kPages - start;
    ShadowLeaf& leaf = leaf_for_run(first, here, word);
    for (uint32_t i = start; i < start + here; ++i, ++first, word = word.plus(1)) {
      leaf.records[i].word = word;
      visit(first, leaf.records[i]);
    }
    count -= here;
  }
}

}  // namespace vitrine::paging
