// Which translations a processor may use for an address: the one that its page table gives now, and those
// that it gave since the address was last invalidated. SDM Vol. 3A, "Invalidation of TLBs and
// Paging-Structure Caches".
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "paging/page_walker.h"

namespace vitrine::engines {

/// What a look-aside buffer holds for a page.
struct CachedTranslation {
  uint64_t page = 0;  ///< Physical page number.
  bool writable = false, user = false, executable = false, global = false;
  // With these clear an access is still to set them.
  bool dirty = false, accessed = false;

  bool operator==(const CachedTranslation&) const = default;
};

class TranslationHistory {
 public:
  /// What the tables say now.
  void note(const std::optional<CachedTranslation>& now) {
    if (now == now_) return;
    // Nothing is cached whose accessed bits are not set.
    if (now_ && now_->accessed) older_.push_back(*now_);
    now_ = now;
  }
  /// INVLPG, or a page fault at the address.
  void invalidate() { older_.clear(); }
  /// A load of CR3 with CR4.PGE: `now` is by the new page table.
  void load(const std::optional<CachedTranslation>& now, bool keeps_global) {
    if (now_ && now_->accessed) older_.push_back(*now_);
    std::erase_if(older_, [&](const CachedTranslation& old) { return !keeps_global || !old.global; });
    now_ = now;
  }
  [[nodiscard]] const std::optional<CachedTranslation>& now() const { return now_; }
  [[nodiscard]] const std::vector<CachedTranslation>& older() const { return older_; }

 private:
  std::optional<CachedTranslation> now_;
  std::vector<CachedTranslation> older_;
};

}  // namespace vitrine::engines
