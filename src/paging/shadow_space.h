// One guest address space that we remember: its two windows, the guest page table that they belong to, and
// what the directory entries were when something was filled through them.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

#include "paging/page_walker.h"
#include "paging/shadow_window.h"

namespace vitrine::paging {

struct TrackedTable;
struct TrackedDirectory;

/// What a window belongs to: the same page table read in another mode means something else.
struct SpaceKey {
  uint64_t root = ~uint64_t{0};  ///< CR3 less the bits that do not locate; 0 with paging off.
  uint64_t mode = 0;             ///< The control bits that change the meaning of entries.

  bool operator==(const SpaceKey&) const = default;
  /// CR4.PGE is no part of it: systems switch it off and on to flush.
  [[nodiscard]] static SpaceKey of(const PagingRegisters& registers);
};

struct ShadowSpace {
  /// Directory entries: 4 × 512 with PAE, else 1,024.
  static constexpr uint32_t kSlots = 2048;

  struct Slot {
    uint64_t entry = 0;             ///< The directory entry that something was filled through.
    TrackedTable* table = nullptr;  ///< Null for a large page.
    bool untracked = false;  ///< The table lies where we cannot look: the slot never outlives a CR3 load.
  };

  std::vector<std::unique_ptr<ShadowWindow>> windows;  // by Privilege, or one for both (ShadowViews)
  [[nodiscard]] ShadowWindow& window(Privilege privilege) const {
    return *windows[windows.size() == 1 ? 0 : static_cast<size_t>(privilege)];
  }
  [[nodiscard]] uint64_t mappings() const {
    uint64_t sum = 0;
    for (const auto& window : windows) sum += window->mappings();
    return sum;
  }
  [[nodiscard]] bool empty() const {
    return std::ranges::all_of(windows, [](const auto& window) { return window->empty(); });
  }
  /// What a single window was filled for.
  Privilege shown_to = Privilege::Supervisor;

  SpaceKey key;
  PagingRegisters registers;  ///< At the last load.
  uint64_t last_used = 0;
  std::bitset<kSlots> derived;  ///< Slots with something in them.
  std::vector<Slot> slots;      // kSlots, or none where the policy tracks nothing
  bool untracked = false;       ///< A slot may be.
  bool outdated = false;        ///< Proactive: directory entries may have changed while it was not in use.
  std::array<TrackedDirectory*, 4> directories{};  ///< Proactive: pages that the directory entries lie in.
};

}  // namespace vitrine::paging
