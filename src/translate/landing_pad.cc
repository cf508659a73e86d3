#include "translate/landing_pad.h"

#include <sys/mman.h>

namespace vitrine::translate {

Result<void> LandingPad::build() {
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  Mapping memory =
      TRY(Mapping::create(8 * kGiB + kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  uint8_t* const base = memory.data() + 2 * kGiB;
  for (uint8_t* const page : {base, base + 4 * kGiB}) {
    if (::mprotect(page, kPageSize, PROT_READ) != 0)
      return std::unexpected(error_from_errno("cannot make the landing pad", "mprotect"));
  }
  memory_ = std::move(memory);
  base_ = reinterpret_cast<uint64_t>(base);
  return {};
}

}  // namespace vitrine::translate
