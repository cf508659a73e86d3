// One guest address space in the host's: 4 GiB of reserved addresses in which guest virtual address v lies
// at base() + v.
//
//   guard 1 MiB │ base() ─────────────── 4 GiB, PROT_NONE where nothing is filled ─────────────── │ guard 1
//   MiB
//                    ▲ runs of pages of RAM blocks, mapped MAP_SHARED over it: the shadow entries
//
// The host's own page table of the window is the shadow page table. Filling is mmap over the reservation;
// dropping takes the rights away and keeps the mapping, so that filling the same page again is one cheap
// mprotect. Nothing inside is ever unmapped, since the host could put a mapping of its own there, in reach of
// the guest. base() is aligned to 4 GiB. See docs/shadow.md.
//
// This class knows nothing of guest page tables: ShadowSpaces decides what is filled. It keeps books of what
// is mapped, by virtual page and (through ReverseMap) by page of a RAM block, and of how many host mappings
// it uses, for the budget.
#pragma once

#include <cstdint>
#include <memory>

#include "base/addresses.h"
#include "base/result.h"
#include "memory/ram_block.h"
#include "paging/mapping_budget.h"
#include "paging/reverse_map.h"
#include "paging/rights_map.h"
#include "paging/shadow_book.h"
#include "paging/shadow_counters.h"

namespace vitrine::paging {

enum class ShadowRights : uint8_t { None, Read, ReadWrite };

/// What one page of a window shows.
struct ShadowEntry {
  memory::RamBlock* block = nullptr;  ///< Null: nothing is filled.
  uint64_t page = 0;                  ///< Index within the block.
  ShadowRights rights = ShadowRights::None;
};

/// What the windows of one processor share.
struct ShadowContext {
  explicit ShadowContext(uint64_t mapping_limit) : budget(mapping_limit) {}

  ReverseMap reverse;
  MappingBudget budget;
  ShadowLeafPool leaves;
  ShadowCounters counters;
  ShadowListener* listener = nullptr;
};

/// How a run's host page-table entries come: with the mapping, or each at the first touch.
enum class Populate : uint8_t { No, Yes };

class ShadowWindow {
 public:
  static constexpr uint64_t kSize = uint64_t{1} << 32;
  /// Reserved without rights below and above: a string instruction that runs away, and an operand that begins
  /// in the last bytes, fault there.
  static constexpr uint64_t kGuard = uint64_t{1} << 20;

  /// Errors: the host's limit on address space (`ulimit -v`), with what to do about it. `context` must
  /// outlive the window.
  [[nodiscard]] static Result<std::unique_ptr<ShadowWindow>> create(ShadowContext& context);
  ~ShadowWindow();
  ShadowWindow(const ShadowWindow&) = delete;
  ShadowWindow& operator=(const ShadowWindow&) = delete;

  [[nodiscard]] MachineAddress base() const { return base_; }
  /// Whether a host address lies in the window; the guest's address is then the low 32 bits.
  [[nodiscard]] bool contains(MachineAddress address) const {
    return address.value >= base_.value && address.value < base_.value + kSize;
  }
  [[nodiscard]] ShadowEntry entry(VirtualAddress address) const;
  /// RightsMap's bytes, which stay where they are.
  [[nodiscard]] const uint8_t* rights() const { return rights_.data(); }
  /// Host mappings in use, the reservation's own included.
  [[nodiscard]] uint64_t mappings() const { return mappings_; }

  // For ShadowSpaces and its policies. Pages are virtual page numbers.

  [[nodiscard]] ShadowBook& book() { return book_; }
  [[nodiscard]] const ShadowBook& book() const { return book_; }

  /// Lets `count` pages from `first` show the pages from `word` on, whatever they showed before. False: the
  /// host refused (its limit on mappings); the window is then empty.
  [[nodiscard]] bool map(uint32_t first, uint32_t count, ShadowWord word, Populate populate);
  /// Gives the host page-table entries of a part of a mapped run.
  void populate(uint32_t first, uint32_t count, ShadowState state);
  /// Code is looked up at a page by the guest's entry: nothing is mapped for that, but the listener is told
  /// when the entry goes.
  void note_fetch(uint32_t page) { book_.set_fetched(page); }
  /// Neither mapped, nor is code known.
  [[nodiscard]] bool empty() const {
    return mappings_ == 1 && book_.next_given(0, ShadowBook::kPages) == ShadowBook::kPages;
  }
  /// Takes all rights from the pages; what they showed is kept for the next map(). What code was looked up is
  /// forgotten.
  void drop(uint32_t first, uint32_t count);
  /// Takes the right to write.
  void lower(uint32_t first, uint32_t count);
  /// Gives the host mappings back.
  void discard(uint32_t first, uint32_t count);
  void discard_all();

 private:
  ShadowWindow(ShadowContext& context, MachineAddress reservation, RightsMap rights);

  [[nodiscard]] ReverseMap::Place place(uint32_t page) const { return ReverseMap::place(number_, page); }
  [[nodiscard]] uint8_t* host(uint32_t page) const { return base_.value + (uint64_t{page} << kPageShift); }
  void change(uint32_t page, ShadowWord word);
  void forget(uint32_t first, uint32_t count);
  [[nodiscard]] bool take_rights(uint32_t first, uint32_t last);
  void discard_idle(uint32_t first, uint32_t end);
  void relieve();
  void tell(uint32_t first, uint32_t count);
  void tell_of_given(uint32_t first, uint32_t count);
  // Between the two, the words of pages in the range may change.
  void begin_change(uint32_t first, uint32_t count) { joints_before_ = book_.joints(first, count); }
  void end_change(uint32_t first, uint32_t count) { account(book_.joints(first, count)); }
  void account(uint32_t joints);

  ShadowContext& context_;
  MachineAddress base_;
  ShadowBook book_;
  RightsMap rights_;
  unsigned number_;
  uint64_t mappings_ = 1;
  uint32_t joints_before_ = 0;
};

}  // namespace vitrine::paging
