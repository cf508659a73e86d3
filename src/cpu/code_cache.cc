// The cache of decoded blocks: see code_cache.h.
#include "cpu/code_cache.h"

#include <algorithm>
#include <new>
#include <type_traits>

#include "cpu/block_flow.h"

namespace vitrine::cpu {
namespace {

const uint8_t* page_of(const uint8_t* host) {
  return reinterpret_cast<const uint8_t*>(reinterpret_cast<uintptr_t>(host) & ~uintptr_t{kPageMask});
}

unsigned offset_in_page(const uint8_t* host) {
  return static_cast<unsigned>(reinterpret_cast<uintptr_t>(host) & kPageMask);
}

// Calls `visit(word, bits)` for each word of a page's map that has bits begin…end-1.
template <typename Visit>
void for_each_word(unsigned begin, unsigned end, const Visit& visit) {
  for (unsigned word = begin / 64; word <= (end - 1) / 64; ++word) {
    uint64_t bits = ~uint64_t{0};
    if (word == begin / 64) bits &= ~uint64_t{0} << (begin % 64);
    if (word == (end - 1) / 64) bits &= ~uint64_t{0} >> (63 - (end - 1) % 64);
    visit(word, bits);
  }
}

}  // namespace

BlockPointer make_block(unsigned count) {
  static_assert(sizeof(Block) % alignof(Instruction) == 0 && std::is_trivially_destructible_v<Instruction>);
  void* const memory = ::operator new(sizeof(Block) + (count + 1) * sizeof(Instruction));
  BlockPointer block(new (memory) Block);
  // SAFETY: the instructions lie behind the block in the same allocation, aligned as asserted.
  block->code = new (static_cast<uint8_t*>(memory) + sizeof(Block)) Instruction[count + 1];
  block->count = count;
  return block;
}

void BlockDeleter::operator()(Block* block) const {
  block->~Block();
  ::operator delete(block);
}

CodeCache::~CodeCache() {
  drop_all();
}

Block* CodeCache::find(const uint8_t* host, uint32_t mode) const {
  for (Block* block = buckets_[bucket(host, mode)]; block != nullptr; block = block->next_in_bucket) {
    if (block->host == host && block->mode == mode) return block;
  }
  return nullptr;
}

CodeCache::Page* CodeCache::find_page(const uint8_t* host_page) {
  if (host_page == last_host_page_) return last_page_;
  const auto it = pages_.find(host_page);
  if (it == pages_.end()) return nullptr;
  last_host_page_ = host_page;
  return last_page_ = &it->second;
}

CodeCache::Place CodeCache::place_of(const uint8_t* host_page) {
  const Page* const page = find_page(host_page);
  return page != nullptr ? page->place : Place{};
}

void CodeCache::add_to_page(Place place, const Part& part) {
  const uint8_t* host_page = place.owner->data() + (place.page << kPageShift);
  Page* page = find_page(host_page);
  if (page == nullptr) {
    page = &pages_[host_page];
    page->place = place;
    size_ += kPageSizeInInstructions;
  }
  if (page->parts.empty()) memory_.watch(*place.owner, place.page, memory::Watch::Code);
  page->patience = kPatience;
  page->parts.push_back(part);
  for_each_word(part.begin, part.end, [page](unsigned word, uint64_t bits) { page->code[word] |= bits; });
}

Block* CodeCache::insert(BlockPointer owned, Place first, Place second) {
  Block* const block = owned.release();
  size_ += block->count + kBlockSize;
  Block*& head = buckets_[bucket(block->host, block->mode)];
  block->next_in_bucket = head;
  head = block;
  const unsigned begin = offset_in_page(block->host);
  const auto end = static_cast<unsigned>(begin + block->last_byte + 1);
  add_to_page(first, {block, static_cast<uint16_t>(begin),
                      static_cast<uint16_t>(std::min<unsigned>(end, kPageSize))});
  if (block->second_page != nullptr)  // It may be the same page, mapped twice.
    add_to_page(second, {block, 0, static_cast<uint16_t>(end - kPageSize)});
  return block;
}

void CodeCache::retire(Block* block) {
  Block** link = &buckets_[bucket(block->host, block->mode)];
  while (*link != block) link = &(*link)->next_in_bucket;
  *link = block->next_in_bucket;
  block->last_byte = Block::kDropped;
  // The block may be running: whatever comes behind the current instruction now leaves to the dispatcher.
  for (unsigned i = 0; i <= block->count; ++i) block->code[i].handler = &leave_before;
  size_ -= block->count + kBlockSize;
  dropped_size_ += block->count + kBlockSize;
  dropped_.emplace_back(block);
}

// Leaves the bits of the map behind: a write to the bytes then looks for blocks in vain, once.
void CodeCache::forget_in_page(const uint8_t* host_page, const Block* block) {
  Page* const page = find_page(host_page);
  if (page == nullptr) return;
  page->has_stale_links = true;
  std::erase_if(page->parts, [block](const Part& part) { return part.block == block; });
}

WriteEffect CodeCache::drop(const memory::RamBlock& owner, uint64_t page_index, unsigned offset,
                            unsigned size) {
  const uint8_t* const host_page = owner.data() + (page_index << kPageShift);
  Page* const page = find_page(host_page);
  if (page == nullptr) return WriteEffect::Elsewhere;
  if (page->parts.empty() && --page->patience == 0) {
    pages_.erase(host_page);
    last_host_page_ = nullptr;
    size_ -= kPageSizeInInstructions;
    return WriteEffect::Elsewhere;
  }
  const unsigned end = offset + size;
  uint64_t touched = 0;
  for_each_word(offset, end, [&](unsigned word, uint64_t bits) { touched |= page->code[word] & bits; });
  if (touched == 0) return WriteEffect::Beside;

  const auto doomed = std::ranges::partition(
      page->parts, [=](const Part& part) { return part.end <= offset || part.begin >= end; });
  const bool dropped = !doomed.empty();
  unsigned first = offset, last = end;  // The map is made anew for these bytes.
  std::vector<const Block*> twice;      // Those with a part elsewhere: in another page, or in this one again.
  for (const Part& part : doomed) {
    first = std::min<unsigned>(first, part.begin);
    last = std::max<unsigned>(last, part.end);
    if (part.block->second_page != nullptr) twice.push_back(part.block);
    if (part.block->live()) retire(part.block);
  }
  page->parts.erase(doomed.begin(), doomed.end());
  page->has_stale_links |= dropped;
  for (const Block* block : twice) {
    forget_in_page(page_of(block->host), block);
    forget_in_page(block->second_page, block);
  }
  for_each_word(first, last, [&](unsigned word, uint64_t bits) { page->code[word] &= ~bits; });
  for (const Part& part : page->parts) {
    if (part.end <= first || part.begin >= last) continue;
    for_each_word(part.begin, part.end, [&](unsigned word, uint64_t bits) { page->code[word] |= bits; });
  }
  return dropped ? WriteEffect::Dropped : WriteEffect::Beside;
}

void CodeCache::drop_block(Block* block) {
  forget_in_page(page_of(block->host), block);
  if (block->second_page != nullptr) forget_in_page(block->second_page, block);
  retire(block);
}

void CodeCache::drop_all() {
  for (const auto& [host_page, page] : pages_) {
    for (const Part& part : page.parts) {
      if (part.block->live()) retire(part.block);
    }
  }
  pages_.clear();
  last_host_page_ = nullptr;
  size_ = 0;
}

void CodeCache::free_dropped() {
  for (auto& [host_page, page] : pages_) {
    if (!page.has_stale_links) continue;
    page.has_stale_links = false;
    for (const Part& part : page.parts) {
      for (Block*& link : part.block->links) {
        if (link != nullptr && !link->live()) link = nullptr;
      }
    }
  }
  flush_jumps();
  dropped_.clear();
  dropped_size_ = 0;
}

}  // namespace vitrine::cpu
