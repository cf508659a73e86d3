#include "translate/translation_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace vitrine::translate {

Result<std::unique_ptr<TranslationCache>> TranslationCache::create(size_t size) {
  // Not within the new-expression, whose memory an error would leave behind.
  CodeMemory memory = TRY(CodeMemory::create(size));
  return std::unique_ptr<TranslationCache>(new TranslationCache(std::move(memory)));
}

size_t TranslationCache::Hash::operator()(const PageKey& key) const {
  const size_t place = (*this)(BlockPage{key.block, key.page});
  return place ^ (size_t{key.virtual_page} << 1 | static_cast<size_t>(key.privilege)) * 0x9e3779b97f4a7c15;
}
size_t TranslationCache::Hash::operator()(const BlockPage& key) const {
  return (reinterpret_cast<uintptr_t>(key.block) >> 4) ^ key.page * 0xff51afd7ed558ccd;
}

CodePage* TranslationCache::find_page(const PageKey& key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

CodePage& TranslationCache::add_page(const PageKey& key) {
  auto& page = *pages_.emplace_back(std::make_unique<CodePage>());
  number(page);
  page.key = key;
  by_key_.emplace(key, &page);
  by_block_page_[{key.block, key.page}].push_back(&page);
  return page;
}

void TranslationCache::number(CodePage& page) {
  if (page.id != 0) numbered_[page.id - 1] = nullptr;
  numbered_.push_back(&page);
  page.id = static_cast<uint32_t>(numbered_.size());
}

UnitIndex TranslationCache::add_unit(Unit unit) {
  CHECK(unit.begin == next_ && unit.end <= memory_.size());
  const auto index = static_cast<UnitIndex>(units_.size());
  CodePage& owner = *unit.page;
  for (const Boundary& boundary : unit.boundaries)
    if (boundary.is_entry()) owner.entries.set(boundary.guest, boundary.host);
  for (const Entry& entry : unit.entries) owner.entries.set(entry.guest, entry.host);
  if (unit.called != 0) owner.called[unit.first_byte] = unit.called;
  owner.units.push_back(index);
  if (unit.tail_page != nullptr) unit.tail_page->tails.push_back(index);
  next_ = unit_behind(unit.end);
  ++counters_.units;
  counters_.instructions += unit.boundaries.size();
  units_.push_back(std::move(unit));
  return index;
}

std::optional<TranslationCache::Pending> TranslationCache::find_pending(const CodePage& page,
                                                                        uint16_t guest) const {
  for (const UnitIndex index : page.units) {
    const Unit& unit = units_[index];
    if (guest < unit.first_byte || guest > unit.last_byte) continue;
    const auto boundary = std::ranges::find(unit.boundaries, guest, &Boundary::guest);
    if (boundary != unit.boundaries.end()) return Pending{&unit, &*boundary};
  }
  return std::nullopt;
}

SiteIndex TranslationCache::add_site(const Site& site) {
  sites_.push_back(site);
  return static_cast<SiteIndex>(sites_.size() - 1);
}

DeclineIndex TranslationCache::add_decline(SlowSite* slow) {
  retired_.clear();
  declines_.push_back({.block = nullptr, .slow = slow});
  return static_cast<DeclineIndex>(declines_.size() - 1);
}

void TranslationCache::patch(uint32_t distance, uint32_t target) {
  const uint32_t value = target - distance - 4;
  std::memcpy(memory_.writable(distance), &value, sizeof value);
}

void TranslationCache::link(SiteIndex index, CodePage& to) {
  const Site& site = sites_[index];
  const auto offset = static_cast<uint16_t>(site.target & kPageMask);
  uint32_t entry = to.entries.find(offset);
  CHECK(entry != 0);
  unlink(site);
  if (const auto called = to.called.find(offset); site.call != 0 && called != to.called.end()) {
    entry = called->second;
    patch(site.call, entry);
  } else {
    patch(site.distance, entry);
  }
  if (site.check != 0) {
    const uint32_t negated = 0 - to.id;
    std::memcpy(memory_.writable(site.check), &negated, sizeof negated);
  }
  const Unit* const unit = unit_at(entry);
  CHECK(unit != nullptr);
  units_[static_cast<size_t>(unit - units_.data())].incoming.push_back(index);
  ++counters_.links;
}

void TranslationCache::unlink(const Site& site) {
  patch(site.distance, site.stub);
  if (site.call != 0) patch(site.call, site.settle);
}

void TranslationCache::drop_unit(UnitIndex index) {
  Unit& unit = units_[index];
  unit.live = false;
  CodePage& owner = *unit.page;
  for (const Boundary& boundary : unit.boundaries) owner.entries.forget(boundary.guest, boundary.host);
  for (const Entry& entry : unit.entries) owner.entries.forget(entry.guest, entry.host);
  if (const auto called = owner.called.find(unit.first_byte);
      called != owner.called.end() && called->second == unit.called)
    owner.called.erase(called);
  for (const SiteIndex site : unit.incoming) {
    // A site may have been linked elsewhere since; leading to its stub is always right.
    unlink(sites_[site]);
  }
  for (DeclineIndex n = unit.first_decline; n < unit.end_decline; ++n)
    if (declines_[n].block) retired_.push_back(std::move(declines_[n].block));
  unit.incoming.clear();
  ++counters_.drops;
}

std::vector<TranslationCache::Renumbered> TranslationCache::drop(const memory::RamBlock& block,
                                                                 uint64_t page_index, unsigned offset,
                                                                 unsigned size) {
  std::vector<Renumbered> result;
  const auto found = by_block_page_.find({&block, page_index});
  if (found == by_block_page_.end()) return result;
  const auto renumber = [&](CodePage& page) {
    result.push_back({&page, page.id});
    number(page);
  };
  for (CodePage* page : found->second) {
    const size_t dropped = std::erase_if(page->units, [&](UnitIndex index) {
      const Unit& unit = units_[index];
      const bool hit = unit.first_byte < offset + size && unit.last_byte >= offset;
      if (hit) drop_unit(index);
      return hit;
    });
    const size_t tails = std::erase_if(page->tails, [&](UnitIndex index) {
      const Unit& unit = units_[index];
      if (unit.live && unit.tail_last_byte < offset) return false;
      if (unit.live) {
        std::erase(unit.page->units, index);
        CodePage& owner = *unit.page;
        drop_unit(index);
        renumber(owner);
      }
      return true;
    });
    if (dropped + tails != 0) renumber(*page);
  }
  return result;
}

bool TranslationCache::made_from(const memory::RamBlock& block, uint64_t page_index, unsigned offset,
                                 unsigned size) const {
  const auto found = by_block_page_.find({&block, page_index});
  if (found == by_block_page_.end()) return false;
  const auto hit = [&](UnitIndex index) {
    return units_[index].first_byte < offset + size && units_[index].last_byte >= offset;
  };
  const auto tail_hit = [&](UnitIndex index) {
    return !units_[index].live || units_[index].tail_last_byte >= offset;
  };
  return std::ranges::any_of(found->second, [&](const CodePage* page) {
    return std::ranges::any_of(page->units, hit) || std::ranges::any_of(page->tails, tail_hit);
  });
}

bool TranslationCache::has_code(const memory::RamBlock& block, uint64_t page_index) const {
  const auto found = by_block_page_.find({&block, page_index});
  if (found == by_block_page_.end()) return false;
  return std::ranges::any_of(
      found->second, [](const CodePage* page) { return !page->units.empty() || !page->tails.empty(); });
}

void TranslationCache::flush() {
  pages_.clear();
  numbered_.clear();
  by_key_.clear();
  by_block_page_.clear();
  units_.clear();
  sites_.clear();
  declines_.resize(1);
  retired_.clear();
  next_ = floor_;
  ++counters_.flushes;
}

const Unit* TranslationCache::unit_at(uint32_t offset) const {
  auto after = std::ranges::upper_bound(units_, offset, {}, &Unit::begin);
  if (after == units_.begin()) return nullptr;
  const Unit& unit = *--after;
  return offset < unit.end ? &unit : nullptr;
}

std::optional<TranslationCache::Place> TranslationCache::place_of(uint64_t address) const {
  if (!memory_.contains(address)) return std::nullopt;
  const uint32_t offset = memory_.offset_of(address);
  const Unit* const unit = unit_at(offset);
  const Boundary* const boundary = unit != nullptr ? boundary_at(*unit, offset) : nullptr;
  if (boundary == nullptr) return std::nullopt;
  return Place{unit, boundary, offset, unit->page->key.virtual_page << kPageShift | boundary->guest};
}

const Boundary* TranslationCache::boundary_at(const Unit& unit, uint32_t offset) {
  auto after = std::ranges::upper_bound(unit.boundaries, offset, {}, &Boundary::host);
  return after == unit.boundaries.begin() ? nullptr : &*--after;
}

}  // namespace vitrine::translate
