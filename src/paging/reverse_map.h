// From a page of storage to the places in all windows where it can be written: when a page becomes watched,
// these lose the right to write. Doubly linked lists whose links lie in the windows' books, so that adding
// and removing allocate nothing. Also numbers the RAM blocks, and remembers which of their pages exist on the
// host.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/mapping.h"
#include "memory/ram_block.h"
#include "paging/shadow_book.h"

namespace vitrine::paging {

class ShadowWindow;

class ReverseMap {
 public:
  /// A page of a window: window number × 2^20 + virtual page.
  using Place = uint32_t;
  static constexpr Place kNowhere = ~Place{0};
  static constexpr unsigned kNoBlock = 0;

  [[nodiscard]] static constexpr Place place(unsigned window, uint32_t page) { return window << 20 | page; }
  [[nodiscard]] static constexpr unsigned window_of(Place place) { return place >> 20; }
  [[nodiscard]] static constexpr uint32_t page_of(Place place) { return place & (ShadowBook::kPages - 1); }

  /// Windows get numbers from 0 in order of arrival; at most 4095.
  unsigned add_window(ShadowWindow& window, ShadowBook& book);
  [[nodiscard]] ShadowWindow& window(Place place) const { return *windows_[window_of(place)].window; }

  /// The number of a block, from 1, given at first sight; kNoBlock when there are too many or the host has no
  /// memory for its lists.
  [[nodiscard]] unsigned number(memory::RamBlock& block);
  /// kNoBlock for a block that never got a number.
  [[nodiscard]] unsigned find_number(const memory::RamBlock& block) const;
  [[nodiscard]] memory::RamBlock& block(unsigned number) const { return *blocks_[number - 1].block; }
  /// Blocks may have died: forgets them all. No book may hold anything.
  void forget_blocks() { blocks_.clear(); }

  /// `mine` is the place's record and has its word.
  void link(Place place, ShadowRecord& mine) {
    uint32_t& head = heads(mine.word.block())[mine.word.page()];
    mine.previous = 0;
    mine.next = head;
    if (head != 0) record(head - 1).previous = place + 1;
    head = place + 1;
  }
  void unlink(Place place, ShadowWord word);
  /// One of the places where this page can be written, or kNowhere.
  [[nodiscard]] Place first(unsigned block, uint64_t page) const { return heads(block)[page] - 1; }

  /// Whether all `count` pages from `page` have host memory already (someone touched them). Asks the host
  /// about pages that it has not seen before.
  [[nodiscard]] bool resident(unsigned block, uint64_t page, uint32_t count);

 private:
  struct Block {
    memory::RamBlock* block;
    Mapping heads;                   // of uint32_t, place + 1 or 0, one a page
    std::vector<uint64_t> resident;  // one bit a page
  };

  [[nodiscard]] uint32_t* heads(unsigned block) const {
    // SAFETY: an anonymous mapping of zeros, aligned to a page, holds nothing but these numbers.
    return reinterpret_cast<uint32_t*>(blocks_[block - 1].heads.data());
  }
  [[nodiscard]] ShadowRecord& record(Place place) {
    return windows_[window_of(place)].book->record(page_of(place));
  }

  struct Window {
    ShadowWindow* window;
    ShadowBook* book;
  };
  std::vector<Window> windows_;
  std::vector<Block> blocks_;
};

}  // namespace vitrine::paging
