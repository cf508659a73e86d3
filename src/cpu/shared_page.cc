// The page is found in the physical map at each use: where the guest has put something else in the place of
// its memory, there is none. Who watches the page is told of every write.
#include "cpu/shared_page.h"

#include <cstddef>

#include "base/addresses.h"
#include "cpu/core.h"
#include "memory/single_copy.h"
#include "vitrine/hypercalls.h"

namespace vitrine::cpu {
namespace {

static_assert(offsetof(VitrineSharedPage, enabled) == VITRINE_SHARED_ENABLED);
static_assert(offsetof(VitrineSharedPage, pending) == VITRINE_SHARED_PENDING);
static_assert(offsetof(VitrineSharedPage, version) == VITRINE_SHARED_VERSION);
static_assert(offsetof(VitrineSharedPage, time) == VITRINE_SHARED_TIME);

// The page that the processor has now, if it is RAM.
class Page {
 public:
  Page(Core& core, uint32_t address) : memory_(core.env.memory) {
    if (address == kNoSharedPage) return;
    const PhysicalAddress where = memory_.gated(PhysicalAddress(address));
    const memory::Region& region = memory_.find(where);
    if (region.write_block == nullptr || region.write_pointer(where) != region.read_pointer(where)) return;
    block_ = region.write_block;
    offset_ = region.write_offset + (where.value - region.start.value);
  }
  explicit Page(Core& core) : Page(core, core.state.shared_page) {}
  explicit operator bool() const { return block_ != nullptr; }

  template <typename T>
  [[nodiscard]] T get(uint32_t offset) const {
    T value;
    memory::single_copy(&value, block_->data() + offset_ + offset, sizeof value);
    return value;
  }
  template <typename T>
  void set(uint32_t offset, T value) {
    const uint64_t at = offset_ + offset;
    memory_.note_write(*block_, at >> kPageShift, at & kPageMask, sizeof value);
    memory::single_copy(block_->data() + at, &value, sizeof value);
  }

 private:
  memory::PhysicalMap& memory_;
  memory::RamBlock* block_ = nullptr;
  uint64_t offset_ = 0;
};

}  // namespace

bool share_page(Core& core, uint32_t address) {
  static_assert(kNoSharedPage == VITRINE_SHARE_NOTHING);
  Page page(core, address);
  if (address != kNoSharedPage && (!page || (address & kPageMask) != 0)) return false;
  core.state.shared_page = address;
  core.state.interrupt_held = false;
  if (!page) return true;
  for (uint32_t offset = 0; offset < sizeof(VitrineSharedPage); offset += 4) page.set(offset, uint32_t{0});
  page.set(VITRINE_SHARED_ENABLED, uint32_t{1});
  return true;
}

bool shared_flag_allows(Core& core) {
  Page page(core);
  if (!page || page.get<uint32_t>(VITRINE_SHARED_ENABLED) != 0) return true;
  core.state.interrupt_held = true;
  page.set(VITRINE_SHARED_PENDING, uint32_t{1});
  return false;
}

void release_interrupt(Core& core) {
  core.state.interrupt_held = false;
  if (Page page(core); page) page.set(VITRINE_SHARED_PENDING, uint32_t{0});
}

void set_shared_flag(Core& core) {
  if (Page page(core); page) page.set(VITRINE_SHARED_ENABLED, uint32_t{1});
}

// The guest reads version, time, version. Nobody else runs on its processor while we write.
void update_shared_time(Core& core, uint64_t now) {
  Page page(core);
  if (!page) return;
  page.set(VITRINE_SHARED_VERSION, page.get<uint32_t>(VITRINE_SHARED_VERSION) + 1);
  page.set(VITRINE_SHARED_TIME, now);
}

}  // namespace vitrine::cpu
