#include "paging/reverse_map.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>

#include "base/addresses.h"
#include "base/check.h"

namespace vitrine::paging {

unsigned ReverseMap::add_window(ShadowWindow& window, ShadowBook& book) {
  CHECK(windows_.size() < 4095);
  windows_.push_back({&window, &book});
  return static_cast<unsigned>(windows_.size() - 1);
}

unsigned ReverseMap::find_number(const memory::RamBlock& block) const {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i].block == &block) return static_cast<unsigned>(i + 1);
  }
  return kNoBlock;
}

unsigned ReverseMap::number(memory::RamBlock& block) {
  if (const unsigned known = find_number(block); known != kNoBlock) return known;
  if (blocks_.size() == 255) return kNoBlock;
  const uint64_t pages = block.size() >> kPageShift;
  Result<Mapping> heads = Mapping::create(pages * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (!heads) return kNoBlock;
  blocks_.push_back({&block, *std::move(heads), std::vector<uint64_t>(pages / 64 + 1)});
  return static_cast<unsigned>(blocks_.size());
}

void ReverseMap::unlink(Place place, ShadowWord word) {
  const ShadowRecord& mine = record(place);
  if (mine.previous != 0) {
    record(mine.previous - 1).next = mine.next;
  } else {
    heads(word.block())[word.page()] = mine.next;
  }
  if (mine.next != 0) record(mine.next - 1).previous = mine.previous;
}

bool ReverseMap::resident(unsigned block, uint64_t page, uint32_t count) {
  constexpr uint32_t kAtOnce = 64;
  Block& known = blocks_[block - 1];
  for (uint32_t done = 0; done < count;) {
    const uint64_t at = page + done;
    if ((known.resident[at / 64] >> at % 64 & 1) != 0) {
      ++done;
      continue;
    }
    std::array<unsigned char, kAtOnce> vector;
    const uint32_t ask = std::min(count - done, kAtOnce);
    if (::mincore(known.block->data() + (at << kPageShift), uint64_t{ask} << kPageShift, vector.data()) !=
        0) {
      return false;
    }
    for (uint32_t i = 0; i < ask; ++i) {
      if ((vector[i] & 1) == 0) return false;
      known.resident[(at + i) / 64] |= uint64_t{1} << (at + i) % 64;
    }
    done += ask;
  }
  return true;
}

}  // namespace vitrine::paging
