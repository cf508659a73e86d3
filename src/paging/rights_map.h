// What a window lets its guest access, page by page, for translated code to look at before an access that
// would else end in a signal.
#pragma once

#include <sys/mman.h>

#include <cstdint>

#include "base/mapping.h"
#include "paging/shadow_book.h"

namespace vitrine::paging {

/// Two bytes a page, 1 or 0: whether it may be read, whether it may be written. Memory is taken where
/// something has been shown.
class RightsMap {
 public:
  static constexpr size_t kSize = size_t{2} * ShadowBook::kPages;

  /// Errors: the host's limit on address space.
  [[nodiscard]] static Result<RightsMap> create() {
    RightsMap map;
    map.bytes_ =
        TRY(Mapping::create(kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
    return map;
  }

  [[nodiscard]] const uint8_t* data() const { return bytes_.data(); }
  void set(uint32_t page, ShadowState state) {
    uint8_t* const rights = bytes_.data() + size_t{2} * page;
    rights[0] = state >= ShadowState::Read ? 1 : 0;
    rights[1] = state == ShadowState::ReadWrite ? 1 : 0;
  }

 private:
  Mapping bytes_;
};

}  // namespace vitrine::paging
