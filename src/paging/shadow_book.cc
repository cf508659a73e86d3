#include "paging/shadow_book.h"

#include <algorithm>
#include <bit>

namespace vitrine::paging {

ShadowLeaf* ShadowLeafPool::take() {
  if (free_.empty()) {
    slabs_.push_back(std::make_unique<std::array<ShadowLeaf, kSlab>>());
    free_.reserve(slabs_.size() * kSlab);
    for (ShadowLeaf& leaf : *slabs_.back()) free_.push_back(&leaf);
  }
  ShadowLeaf* leaf = free_.back();
  free_.pop_back();
  ++in_use_;
  return leaf;
}

void ShadowLeafPool::give(ShadowLeaf* leaf) {
  *leaf = ShadowLeaf{};
  free_.push_back(leaf);
  --in_use_;
}

ShadowBook::Branch& ShadowBook::branch_of(uint32_t page) {
  std::unique_ptr<Branch>& branch = branches_[page / kPagesInBranch];
  if (branch == nullptr) branch = std::make_unique<Branch>();
  return *branch;
}

ShadowLeaf& ShadowBook::leaf_of(Branch& branch, uint32_t page) {
  ShadowLeaf*& leaf = branch.leaves[page / ShadowLeaf::kPages % kLeavesInBranch];
  if (leaf == nullptr) leaf = pool_.take();
  return *leaf;
}

void ShadowBook::set(uint32_t page, ShadowWord word) {
  Branch& branch = branch_of(page);
  ShadowLeaf& leaf = leaf_of(branch, page);
  ShadowWord& old = leaf.records[page % ShadowLeaf::kPages].word;
  leaf.used += (word.value != 0 ? 1u : 0u) - (old.value != 0 ? 1u : 0u);
  leaf.live += (word.live() ? 1u : 0u) - (old.live() ? 1u : 0u);
  old = word;
  const uint32_t index = page / ShadowLeaf::kPages % kLeavesInBranch;
  const uint64_t bit = uint64_t{1} << index;
  branch.used |= bit;
  branch.live = leaf.live != 0 ? branch.live | bit : branch.live & ~bit;
  if (leaf.used == 0 && leaf.fetched == 0) release(branch, index);
}

void ShadowBook::set_fetched(uint32_t page) {
  Branch& branch = branch_of(page);
  leaf_of(branch, page).fetched |= uint64_t{1} << page % ShadowLeaf::kPages;
  branch.fetched |= uint64_t{1} << (page / ShadowLeaf::kPages % kLeavesInBranch);
}

void ShadowBook::clear_fetched(uint32_t first, uint32_t count) {
  constexpr auto leaves = [](const Branch& branch) { return branch.fetched; };
  constexpr auto fetched = [](const ShadowLeaf& leaf, uint32_t i) { return (leaf.fetched >> i & 1) != 0; };
  const uint32_t end = first + count;
  for (uint32_t page = next(leaves, first, end, fetched); page < end;
       page = next(leaves, page, end, fetched)) {
    Branch& branch = branch_of(page);
    ShadowLeaf& leaf = leaf_of(branch, page);
    leaf.fetched &= ~(uint64_t{1} << page % ShadowLeaf::kPages);
    if (leaf.fetched != 0) continue;
    const uint32_t index = page / ShadowLeaf::kPages % kLeavesInBranch;
    branch.fetched &= ~(uint64_t{1} << index);
    if (leaf.used == 0) release(branch, index);
  }
}

// The leaf of `page`, counted as if `count` of its Empty pages had words like `word` already.
ShadowLeaf& ShadowBook::leaf_for_run(uint32_t page, uint32_t count, ShadowWord word) {
  Branch& branch = branch_of(page);
  ShadowLeaf& leaf = leaf_of(branch, page);
  const uint64_t bit = uint64_t{1} << (page / ShadowLeaf::kPages % kLeavesInBranch);
  leaf.used += count;
  branch.used |= bit;
  if (word.live()) {
    leaf.live += count;
    branch.live |= bit;
  }
  return leaf;
}

void ShadowBook::release(Branch& branch, uint32_t index) {
  pool_.give(branch.leaves[index]);
  branch.leaves[index] = nullptr;
  branch.used &= ~(uint64_t{1} << index);
  branch.live &= ~(uint64_t{1} << index);
  branch.fetched &= ~(uint64_t{1} << index);
}

void ShadowBook::clear(uint32_t first, uint32_t count) {
  const uint32_t end = first + count;
  for (uint32_t page = next_used(first, end); page < end; page = next_used(page, end)) {
    const uint32_t leaf_start = page - page % ShadowLeaf::kPages;
    if (leaf_start >= first && leaf_start + ShadowLeaf::kPages <= end) {
      release(*branches_[page / kPagesInBranch], page / ShadowLeaf::kPages % kLeavesInBranch);
    } else {
      set(page, ShadowWord{});
    }
  }
}

template <typename Leaves, typename Wanted>
uint32_t ShadowBook::next(Leaves leaves, uint32_t from, uint32_t end, Wanted wanted) const {
  while (from < end) {
    const Branch* branch = branches_[from / kPagesInBranch].get();
    const uint32_t index = from / ShadowLeaf::kPages % kLeavesInBranch;
    const uint64_t rest = branch == nullptr ? 0 : leaves(*branch) >> index;
    if (rest == 0) {
      from = (from / kPagesInBranch + 1) * kPagesInBranch;
      continue;
    }
    if ((rest & 1) == 0) {
      from = (from / ShadowLeaf::kPages + static_cast<uint32_t>(std::countr_zero(rest))) * ShadowLeaf::kPages;
      continue;
    }
    const ShadowLeaf& leaf = *branch->leaves[index];
    for (uint32_t i = from % ShadowLeaf::kPages; i < ShadowLeaf::kPages; ++i, ++from) {
      if (wanted(leaf, i)) return std::min(from, end);
    }
  }
  return end;
}

uint32_t ShadowBook::live() const {
  uint32_t count = 0;
  for (const auto& branch : branches_) {
    if (branch == nullptr) continue;
    for (const ShadowLeaf* leaf : branch->leaves) count += leaf != nullptr ? leaf->live : 0;
  }
  return count;
}

uint32_t ShadowBook::next_live(uint32_t from, uint32_t end) const {
  return next([](const Branch& branch) { return branch.live; }, from, end,
              [](const ShadowLeaf& leaf, uint32_t i) { return leaf.records[i].word.live(); });
}

uint32_t ShadowBook::next_given(uint32_t from, uint32_t end) const {
  return next([](const Branch& branch) { return branch.live | branch.fetched; }, from, end,
              [](const ShadowLeaf& leaf, uint32_t i) {
                return leaf.records[i].word.live() || (leaf.fetched >> i & 1) != 0;
              });
}

uint32_t ShadowBook::next_used(uint32_t from, uint32_t end) const {
  return next([](const Branch& branch) { return branch.used; }, from, end,
              [](const ShadowLeaf& leaf, uint32_t i) { return leaf.records[i].word.value != 0; });
}

uint32_t ShadowBook::next_idle(uint32_t from, uint32_t end) const {
  constexpr uint32_t kLeaf = ShadowLeaf::kPages;
  for (uint64_t page = (uint64_t{from} + kLeaf - 1) / kLeaf * kLeaf; page + kLeaf <= end;) {
    const Branch* branch = branches_[page / kPagesInBranch].get();
    const uint64_t idle = branch == nullptr ? 0
                                            : (branch->used & ~branch->live & ~branch->fetched) >>
                                                  (page / kLeaf % kLeavesInBranch);
    if ((idle & 1) != 0) return static_cast<uint32_t>(page);
    page = idle == 0 ? (page / kPagesInBranch + 1) * kPagesInBranch
                     : page + static_cast<uint64_t>(std::countr_zero(idle)) * kLeaf;
  }
  return end;
}

uint32_t ShadowBook::mappings(uint32_t from, uint32_t end, uint32_t most) const {
  uint32_t found = 0;
  for (uint32_t page = next_used(from, end); page < end && found < most; page = next_used(page + 1, end)) {
    ++found;
    while (page + 1 < end && word(page).joins(word(page + 1))) ++page;
  }
  return found;
}

uint32_t ShadowBook::joints(uint32_t first, uint32_t count) const {
  const uint32_t end = first + count;  // the page after the range; the guards above and below count as Empty
  ShadowWord previous = first == 0 ? ShadowWord{} : word(first - 1);
  uint32_t found = 0;
  for (uint32_t page = first; page <= end;) {
    if (previous.value == 0) {
      const uint32_t next = std::min(next_used(page, kPages), end + 1);
      if (next != page) {
        page = next;
        continue;
      }
    }
    const ShadowWord here = page < kPages ? word(page) : ShadowWord{};
    if (!previous.joins(here)) ++found;
    previous = here;
    ++page;
  }
  return found;
}

}  // namespace vitrine::paging
