// What TableTracker's sources share: entries of the guest's page tables as they are in memory, and what
// windows must do when one changes.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "memory/physical_map.h"
#include "paging/page_walker.h"
#include "paging/shadow_space.h"
#include "paging/table_tracker.h"
#include "x86/page_entries.h"

namespace vitrine::paging {

enum class Change : uint8_t { None, Lowered, Gone };

/// What windows that were filled from an entry must do about its new value.
inline Change classify(uint64_t old, uint64_t now) {
  constexpr uint64_t kRights = x86::kPageWritable | x86::kPageDirty;
  constexpr uint64_t kIgnored = 0xe00 | x86::kPageAccessed | kRights;
  if (((old ^ now) & ~kIgnored) != 0) return Change::Gone;
  // A flush after clearing the accessed bit is a wish to see it set again.
  if ((now & x86::kPageAccessed) == 0) return Change::Gone;
  return (old & ~now & kRights) != 0 ? Change::Lowered : Change::None;
}

inline EntryWidth width_of(const PagingRegisters& registers) {
  return registers.pae() ? EntryWidth::Pae : EntryWidth::Legacy;
}
inline uint32_t entries_in_table(EntryWidth width) {
  return kPageSize / static_cast<uint32_t>(width);
}

/// Entries are read whole: other processors may write them at any time.
inline uint64_t entry_at(const uint8_t* table, uint32_t index, EntryWidth width) {
  // SAFETY: entries are naturally aligned within a page; see page_walker.cc.
  auto* const where = const_cast<uint8_t*>(table) + index * static_cast<uint32_t>(width);
  if (width == EntryWidth::Pae) {
    return std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(where)).load(std::memory_order_acquire);
  }
  return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(where)).load(std::memory_order_acquire);
}

inline void set_copy(TrackedTable& table, uint32_t index, uint64_t value) {
  const auto size = static_cast<uint32_t>(table.width);
  std::memcpy(table.copy.data() + index * size, &value, size);  // little-endian: the low half comes first
}

inline const uint8_t* memory_of(const TrackedTable& table) {
  return table.block->data() + (table.page << kPageShift);
}

/// Where the directory entries of a page table lie, 1,024 in one page or 512 in each of four.
class Directory {
 public:
  Directory(const memory::PhysicalMap& memory, const PagingRegisters& registers)
      : width_(width_of(registers)) {
    if (width_ == EntryWidth::Legacy) {
      pages_[0] = find(memory, PhysicalAddress(registers.cr3 & x86::kLegacyFrameMask));
      return;
    }
    for (uint32_t i = 0; i < 4; ++i) {
      const uint64_t pointer = registers.pdptes[i];
      if ((pointer & x86::kPagePresent) != 0)
        pages_[i] = find(memory, PhysicalAddress(x86::pae_frame(pointer)));
    }
  }

  /// A page of storage; no block where we cannot look.
  struct Page {
    memory::RamBlock* block = nullptr;
    uint64_t page = 0;
  };
  [[nodiscard]] const Page& page(uint32_t index) const { return pages_[index]; }
  [[nodiscard]] uint32_t page_of(uint32_t slot) const { return slot / entries_in_table(width_); }

  /// Zero, which is not present, where we cannot look.
  [[nodiscard]] uint64_t entry(uint32_t slot) const {
    const Page& page = pages_[page_of(slot)];
    if (page.block == nullptr) return 0;
    return entry_at(page.block->data() + (page.page << kPageShift), slot % entries_in_table(width_), width_);
  }

 private:
  static Page find(const memory::PhysicalMap& memory, PhysicalAddress address) {
    const PhysicalAddress where = memory.gated(address);
    const memory::Region& region = memory.find(where);
    if (region.read_block == nullptr || (region.read_offset & kPageMask) != 0) return {};
    const uint64_t page = region.read_page(where);
    return page < region.read_block->size() >> kPageShift ? Page{region.read_block, page} : Page{};
  }

  std::array<Page, 4> pages_{};
  EntryWidth width_;
};

/// Drops pages from the windows of a space in as few pieces as possible: pieces join over pages that show
/// nothing.
class Dropper {
 public:
  explicit Dropper(ShadowSpace& space) : space_(space) {}
  ~Dropper() {
    for (size_t i = 0; i < space_.windows.size(); ++i) flush(i);
  }
  Dropper(const Dropper&) = delete;
  Dropper& operator=(const Dropper&) = delete;

  /// In ascending order.
  void add(uint32_t first, uint32_t count) {
    for (size_t i = 0; i < space_.windows.size(); ++i) {
      Piece& piece = pieces_[i];
      const ShadowBook& book = space_.windows[i]->book();
      const uint32_t given = book.next_given(first, first + count);
      if (given == first + count) continue;
      if (piece.end != piece.first && book.next_given(piece.end, given) != given) flush(i);
      if (piece.end == piece.first) piece.first = given;
      piece.end = first + count;
    }
  }

 private:
  struct Piece {
    uint32_t first = 0;
    uint32_t end = 0;
  };
  void flush(size_t i) {
    if (pieces_[i].end != pieces_[i].first) {
      space_.windows[i]->drop(pieces_[i].first, pieces_[i].end - pieces_[i].first);
    }
    pieces_[i] = {};
  }

  ShadowSpace& space_;
  std::array<Piece, 2> pieces_;
};

template <typename Visit>
void for_each_derived(const ShadowSpace& space, Visit visit) {
  for (size_t slot = space.derived._Find_first(); slot < ShadowSpace::kSlots;
       slot = space.derived._Find_next(slot)) {
    visit(static_cast<uint32_t>(slot));
  }
}

}  // namespace vitrine::paging
