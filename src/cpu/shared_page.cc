// All accesses go through the physical map, which tells who watches the page; where the guest has put
// something else in the place of its memory since, there is no page.
#include "cpu/shared_page.h"

#include <array>
#include <cstddef>
#include <optional>

#include "base/addresses.h"
#include "cpu/core.h"
#include "vitrine/hypercalls.h"

namespace vitrine::cpu {
namespace {

static_assert(offsetof(VitrineSharedPage, enabled) == VITRINE_SHARED_ENABLED);
static_assert(offsetof(VitrineSharedPage, pending) == VITRINE_SHARED_PENDING);
static_assert(offsetof(VitrineSharedPage, version) == VITRINE_SHARED_VERSION);
static_assert(offsetof(VitrineSharedPage, time) == VITRINE_SHARED_TIME);

bool is_ram(const Core& core, PhysicalAddress address) {
  const PhysicalAddress where = core.env.memory.gated(address);
  const memory::Region& region = core.env.memory.find(where);
  return region.write_block != nullptr && region.write_pointer(where) == region.read_pointer(where);
}

std::optional<PhysicalAddress> field(const Core& core, uint32_t offset) {
  const uint32_t page = core.state.shared_page;
  if (page == kNoSharedPage || !is_ram(core, PhysicalAddress(page))) return std::nullopt;
  return PhysicalAddress(uint64_t{page} + offset);
}

void write(Core& core, uint32_t offset, uint32_t value) {
  if (const auto where = field(core, offset)) core.env.memory.write(*where, sizeof value, value);
}

}  // namespace

bool share_page(Core& core, uint32_t address) {
  static_assert(kNoSharedPage == VITRINE_SHARE_NOTHING);
  const bool nothing = address == kNoSharedPage;
  if (!nothing && ((address & kPageMask) != 0 || !is_ram(core, PhysicalAddress(address)))) return false;
  core.state.shared_page = address;
  core.state.interrupt_held = false;
  if (nothing) return true;
  constexpr std::array<uint8_t, sizeof(VitrineSharedPage)> kZeros{};
  core.env.memory.write(PhysicalAddress(address), kZeros);
  write(core, VITRINE_SHARED_ENABLED, 1);
  return true;
}

bool shared_flag_allows(Core& core) {
  const auto where = field(core, VITRINE_SHARED_ENABLED);
  if (!where || static_cast<uint32_t>(core.env.memory.read(*where, 4)) != 0) return true;
  core.state.interrupt_held = true;
  write(core, VITRINE_SHARED_PENDING, 1);
  return false;
}

void release_interrupt(Core& core) {
  core.state.interrupt_held = false;
  write(core, VITRINE_SHARED_PENDING, 0);
}

void set_shared_flag(Core& core) {
  write(core, VITRINE_SHARED_ENABLED, 1);
}

// The guest reads version, time, version. Nobody else runs on its processor while we write.
void update_shared_time(Core& core, uint64_t now) {
  const auto time = field(core, VITRINE_SHARED_TIME);
  if (!time) return;
  const auto version = field(core, VITRINE_SHARED_VERSION);
  core.env.memory.write(*version, 4, static_cast<uint32_t>(core.env.memory.read(*version, 4)) + 1);
  core.env.memory.write(*time, 8, now);
}

}  // namespace vitrine::cpu
