// A piece of guest-visible storage: the machine's RAM, a ROM, a frame buffer. One memfd, so that shadow
// address spaces can map it again elsewhere; one flat mapping, through which the monitor reaches it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/addresses.h"
#include "base/descriptor.h"
#include "base/mapping.h"
#include "base/result.h"

namespace vitrine::memory {

/// Reasons for wanting to know that a page of a block was written. Bits.
enum class Watch : uint8_t {
  Code = 1,        ///< Decoded instructions were made from the page.
  PageTable = 2,   ///< Shadow entries were derived from the page.
  Translated = 4,  ///< Host code was made from the page.
  Recorded = 8,    ///< A WriteObserver wants to know of the next write; that clears it.
};

class RamBlock {
 public:
  /// `size` is rounded up to whole pages. Pages take host memory only when touched.
  /// `name` appears in /proc and in messages.
  [[nodiscard]] static Result<std::unique_ptr<RamBlock>> create(std::string name, uint64_t size);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] uint64_t size() const { return mapping_.size(); }
  [[nodiscard]] uint8_t* data() const { return mapping_.data(); }
  [[nodiscard]] int descriptor() const { return memfd_.get(); }
  [[nodiscard]] bool contains(const uint8_t* host) const {
    return host >= mapping_.data() && host < mapping_.data() + mapping_.size();
  }

  /// The Watch bits of a page. `page` is an index within the block. A writer that may not call
  /// PhysicalMap::note_write must not write while any bit is set.
  [[nodiscard]] uint8_t watches(uint64_t page) const {
    return watches_[page].load(std::memory_order_relaxed);
  }
  void watch(uint64_t page, Watch reason) { watches_[page].fetch_or(static_cast<uint8_t>(reason)); }
  void unwatch(uint64_t page, Watch reason) {
    watches_[page].fetch_and(static_cast<uint8_t>(~static_cast<uint8_t>(reason)));
  }

 private:
  RamBlock(std::string name, Descriptor memfd, Mapping mapping);

  std::string name_;
  Descriptor memfd_;
  Mapping mapping_;
  std::unique_ptr<std::atomic<uint8_t>[]> watches_;  // one byte a page
};

}  // namespace vitrine::memory
