// The cache of decoded blocks: see code_cache.h.
#include "cpu/code_cache.h"

#include <algorithm>

#include "cpu/block_flow.h"

namespace vitrine::cpu {
namespace {

const uint8_t* page_of(const uint8_t* host) {
  return reinterpret_cast<const uint8_t*>(reinterpret_cast<uintptr_t>(host) & ~uintptr_t{kPageMask});
}

unsigned offset_in_page(const uint8_t* host) {
  return static_cast<unsigned>(reinterpret_cast<uintptr_t>(host) & kPageMask);
}

// Bytes of the block in the page: its first part, or what is in the second page.
std::pair<unsigned, unsigned> extent(const Block& block, const uint8_t* host_page) {
  const unsigned offset = offset_in_page(block.host);
  if (page_of(block.host) == host_page)
    return {offset, std::min<unsigned>(block.last_byte + 1, kPageSize - offset)};
  return {0, offset + block.last_byte + 1 - kPageSize};
}

}  // namespace

CodeCache::~CodeCache() {
  drop_all();
}

Block* CodeCache::find(const uint8_t* host, uint32_t mode) const {
  for (Block* block = buckets_[bucket(host, mode)]; block != nullptr; block = block->next_in_bucket) {
    if (block->host == host && block->mode == mode) return block;
  }
  return nullptr;
}

void CodeCache::add_to_page(Place place, Block* block, unsigned offset, unsigned size) {
  const uint8_t* host_page = place.owner->data() + (place.page << kPageShift);
  Page& page = pages_[host_page];
  if (page.blocks.empty()) {
    page.owner = place.owner;
    page.page = place.page;
    memory_.watch(*place.owner, place.page, memory::Watch::Code);
  }
  page.blocks.push_back(block);
  for (unsigned line = offset >> 4; line <= (offset + size - 1) >> 4; ++line)
    page.lines[line >> 6] |= uint64_t{1} << (line & 63);
}

Block* CodeCache::insert(std::unique_ptr<Block> owned, Place first, Place second) {
  Block* block = owned.get();
  instructions_ += block->count + 1;
  Block*& head = buckets_[bucket(block->host, block->mode)];
  block->next_in_bucket = head;
  head = block;
  blocks_.emplace(block, std::move(owned));
  const auto [offset, size] = extent(*block, page_of(block->host));
  add_to_page(first, block, offset, size);
  if (block->second_page != nullptr && block->second_page != page_of(block->host)) {
    add_to_page(second, block, 0, extent(*block, block->second_page).second);
  }
  return block;
}

void CodeCache::retire(Block* block) {
  Block** link = &buckets_[bucket(block->host, block->mode)];
  while (*link != block) link = &(*link)->next_in_bucket;
  *link = block->next_in_bucket;
  block->live = false;
  // The block may be running: whatever comes behind the current instruction now leaves to the dispatcher.
  for (unsigned i = 0; i <= block->count; ++i) block->code[i].handler = &leave_before;
  instructions_ -= block->count + 1;
  const auto it = blocks_.find(block);
  dropped_.push_back(std::move(it->second));
  blocks_.erase(it);
}

void CodeCache::forget_in_page(const uint8_t* host_page, Block* block) {
  const auto it = pages_.find(host_page);
  if (it == pages_.end()) return;
  std::erase(it->second.blocks, block);
}

bool CodeCache::drop(memory::RamBlock& owner, uint64_t page_index, unsigned offset, unsigned size) {
  const uint8_t* host_page = owner.data() + (page_index << kPageShift);
  const auto it = pages_.find(host_page);
  if (it == pages_.end()) return false;
  Page& page = it->second;
  bool touched = false;
  for (unsigned line = offset >> 4; line <= (offset + size - 1) >> 4 && !touched; ++line) {
    touched = (page.lines[line >> 6] >> (line & 63) & 1) != 0;
  }
  if (!touched) return false;

  std::vector<Block*> doomed;
  for (Block* block : page.blocks) {
    const auto [begin, length] = extent(*block, host_page);
    if (begin < offset + size && offset < begin + length) doomed.push_back(block);
  }
  if (doomed.empty()) return false;
  for (Block* block : doomed) {
    std::erase(page.blocks, block);
    if (block->second_page != nullptr) {
      forget_in_page(page_of(block->host) == host_page ? block->second_page : page_of(block->host), block);
    }
    retire(block);
  }
  page.lines.fill(0);
  for (Block* block : page.blocks) {
    for (Block*& link : block->links) {
      if (link != nullptr && !link->live) link = nullptr;
    }
    const auto [begin, length] = extent(*block, host_page);
    for (unsigned line = begin >> 4; line <= (begin + length - 1) >> 4; ++line)
      page.lines[line >> 6] |= uint64_t{1} << (line & 63);
  }
  if (page.blocks.empty()) pages_.erase(it);
  return true;
}

bool CodeCache::has_page(const memory::RamBlock& owner, uint64_t page) const {
  return pages_.contains(owner.data() + (page << kPageShift));
}

void CodeCache::drop_block(Block* block) {
  forget_in_page(page_of(block->host), block);
  if (block->second_page != nullptr) forget_in_page(block->second_page, block);
  retire(block);
  // Only blocks that straddle pages come here, and nothing links to them.
}

void CodeCache::drop_all() {
  pages_.clear();
  while (!blocks_.empty()) retire(blocks_.begin()->first);
}

}  // namespace vitrine::cpu
