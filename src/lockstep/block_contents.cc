#include "lockstep/block_contents.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/addresses.h"

namespace vitrine::lockstep {
namespace {

// Marks what the host has memory for. A host that cannot tell has memory for all of it.
void mark(const memory::RamBlock& block, std::vector<bool>& used) {
  const auto size = static_cast<off_t>(block.size());
  for (off_t at = 0; at < size;) {
    const off_t data = ::lseek(block.descriptor(), at, SEEK_DATA);
    if (data < 0) return;
    off_t hole = ::lseek(block.descriptor(), data, SEEK_HOLE);
    if (hole < 0) hole = size;
    const off_t last = std::min((hole + kPageMask) >> kPageShift, size >> kPageShift);
    for (off_t page = data >> kPageShift; page < last; ++page) used[static_cast<size_t>(page)] = true;
    at = hole;
  }
}

}  // namespace

void for_each_used_page(const memory::RamBlock& a, const memory::RamBlock& b,
                        const std::function<void(uint64_t page)>& visit) {
  std::vector<bool> used(a.size() >> kPageShift);
  mark(a, used);
  mark(b, used);
  for (uint64_t page = 0; page < used.size(); ++page)
    if (used[page]) visit(page);
}

}  // namespace vitrine::lockstep
