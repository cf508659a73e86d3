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

void ShadowBook::set(uint32_t page, ShadowWord word) {
  std::unique_ptr<Branch>& branch = branches_[page / kPagesInBranch];
  if (branch == nullptr) branch = std::make_unique<Branch>();
  const uint32_t index = page / ShadowLeaf::kPages % kLeavesInBranch;
  ShadowLeaf*& leaf = branch->leaves[index];
  if (leaf == nullptr) leaf = pool_.take();
  ShadowWord& old = leaf->records[page % ShadowLeaf::kPages].word;
  leaf->used += (word.value != 0 ? 1u : 0u) - (old.value != 0 ? 1u : 0u);
  leaf->live += (word.live() ? 1u : 0u) - (old.live() ? 1u : 0u);
  old = word;
  const uint64_t bit = uint64_t{1} << index;
  branch->used |= bit;
  branch->live = leaf->live != 0 ? branch->live | bit : branch->live & ~bit;
  if (leaf->used == 0) release(*branch, index);
}

// The leaf of `page`, counted as if `count` of its Empty pages had words like `word` already.
ShadowLeaf& ShadowBook::leaf_for_run(uint32_t page, uint32_t count, ShadowWord word) {
  std::unique_ptr<Branch>& branch = branches_[page / kPagesInBranch];
  if (branch == nullptr) branch = std::make_unique<Branch>();
  const uint32_t index = page / ShadowLeaf::kPages % kLeavesInBranch;
  ShadowLeaf*& leaf = branch->leaves[index];
  if (leaf == nullptr) leaf = pool_.take();
  leaf->used += count;
  branch->used |= uint64_t{1} << index;
  if (word.live()) {
    leaf->live += count;
    branch->live |= uint64_t{1} << index;
  }
  return *leaf;
}

void ShadowBook::release(Branch& branch, uint32_t index) {
  pool_.give(branch.leaves[index]);
  branch.leaves[index] = nullptr;
  branch.used &= ~(uint64_t{1} << index);
  branch.live &= ~(uint64_t{1} << index);
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

template <typename Wanted>
uint32_t ShadowBook::next(uint64_t Branch::*leaves, uint32_t from, uint32_t end, Wanted wanted) const {
  while (from < end) {
    const Branch* branch = branches_[from / kPagesInBranch].get();
    const uint32_t index = from / ShadowLeaf::kPages % kLeavesInBranch;
    const uint64_t rest = branch == nullptr ? 0 : branch->*leaves >> index;
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
      if (wanted(leaf.records[i].word)) return std::min(from, end);
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
  return next(&Branch::live, from, end, [](ShadowWord word) { return word.live(); });
}

uint32_t ShadowBook::next_used(uint32_t from, uint32_t end) const {
  return next(&Branch::used, from, end, [](ShadowWord word) { return word.value != 0; });
}

uint32_t ShadowBook::next_idle(uint32_t from, uint32_t end) const {
  constexpr uint32_t kLeaf = ShadowLeaf::kPages;
  for (uint64_t page = (uint64_t{from} + kLeaf - 1) / kLeaf * kLeaf; page + kLeaf <= end;) {
    const Branch* branch = branches_[page / kPagesInBranch].get();
    const uint64_t idle =
        branch == nullptr ? 0 : (branch->used & ~branch->live) >> (page / kLeaf % kLeavesInBranch);
    if ((idle & 1) != 0) return static_cast<uint32_t>(page);
    page = idle == 0 ? (page / kPagesInBranch + 1) * kPagesInBranch
                     : page + static_cast<uint64_t>(std::countr_zero(idle)) * kLeaf;
  }
  return end;
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
