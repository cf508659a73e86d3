// What fuzzers of page tables share: a guest with tables, where the entries are that they change, and what is
// put there at random.
#pragma once

#include <array>
#include <cstdint>
#include <random>

#include "engines/paging_guest.h"
#include "x86/page_entries.h"

namespace vitrine::engines {

class FuzzedTables {
 public:
  [[nodiscard]] const PagingGuest& guest() const { return guest_; }

 protected:
  /// Pages that are accessed: kPages behind each of kSlots directory entries.
  static constexpr uint32_t kSlots = 3, kPages = 8, kAddresses = kSlots * kPages;

  FuzzedTables(const PagingGuest::Options& options, uint64_t seed) : guest_(options), random_(seed) {}

  [[nodiscard]] uint32_t pick(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  [[nodiscard]] bool chance(uint32_t percent) { return pick(100) < percent; }

  /// Linear, of page 0…kAddresses-1.
  [[nodiscard]] uint32_t address_of(uint32_t page) const {
    constexpr std::array<uint32_t, kSlots> kLegacy = {1, 2, 768}, kPae = {2, 3, 1537};
    const uint32_t slot = page / kPages;
    return (guest_.pae() ? kPae[slot] << 21 : kLegacy[slot] << 22) + page % kPages * kPageSize;
  }
  /// Physical.
  [[nodiscard]] uint32_t directory_entry_of(uint32_t space, uint32_t slot) const {
    const uint32_t index = address_of(slot * kPages) >> (guest_.pae() ? 21 : 22);
    return PagingGuest::kDirectories + space * PagingGuest::kDirectorySize + index * guest_.entry_size();
  }
  [[nodiscard]] uint32_t table_entry_of(uint32_t table, uint32_t page) const {
    return PagingGuest::kFirstTable + table * kPageSize + page * guest_.entry_size();
  }

  /// Present, rights, accessed and dirty.
  [[nodiscard]] uint32_t random_common_flags() {
    uint32_t flags = chance(90) ? x86::kPagePresent : 0;
    if (chance(70)) flags |= x86::kPageWritable;
    if (chance(70)) flags |= x86::kPageUser;
    if (chance(70)) flags |= x86::kPageAccessed;
    if (chance(60)) flags |= x86::kPageDirty;
    return flags;
  }

  PagingGuest guest_;
  std::mt19937_64 random_;
};

}  // namespace vitrine::engines
